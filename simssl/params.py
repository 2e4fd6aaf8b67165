"""`Params`: the parameters of a plugin, or of a section of the experiment file, that a user can set."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Params(BaseModel):
    """The parameters of a plugin: a frozen pydantic model with a docstring under every field.

    Unknown keys, infinities and not-a-number are refused. Types are strict: `"3"` is not a number, and `true` is not an
    integer. A list of the file may fill a tuple. `simssl show` and the JSON Schema say of a field what its docstring
    says: meaning, unit, and source of the default.

        class Params(simssl.Params):
            temperature: float = Field(0.5, gt=0)
            "Divides the cosine similarities. Source: Chen et al. 2020, CIFAR-10."
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        validate_default=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


def added(default: Any, **bounds: Any) -> Any:
    """Return the field of a parameter that older versions of a plugin have not.

    With its default it is not written into a run's files. So runs that were made before it, and are alike, have the
    same files and stand in one row of a report. `bounds`: as of pydantic's `Field`.
    """
    return Field(default, exclude_if=lambda value: value == default, **bounds)
