"""`Params`: what a plugin, or a section of the experiment file, lets a user set."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """The parameters of a plugin: a frozen pydantic model with a docstring under every field.

    Unknown keys, infinities and not-a-number are refused, and types are strict: `"3"` is not a number and
    `true` not an integer; a list of the file may fill a tuple. The docstring under a field is what
    `simssl show` and the JSON Schema say about it: meaning, unit, and source of the default.

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
