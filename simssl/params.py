"""`Params`: the parameters of a plugin, or of a section of the experiment file, that a user can set."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


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
