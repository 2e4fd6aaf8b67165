"""The parameter of evaluators that says which layer of a model they measure."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LayerName = Annotated[
    str,
    Field(
        description="What is measured: the representation, or another layer that the method offers, such as projection."
    ),
]
"""The type of the field `layer` of Params. `simssl show` prints its description."""
