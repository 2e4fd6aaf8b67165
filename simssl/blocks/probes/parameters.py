"""Types of the parameters that several evaluators have."""

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

TargetNames = Annotated[tuple[str, ...], Field(min_length=1)]
"""The type of the field `targets` of Params: names of the data set's targets, one at least."""
