"""Kinds of numbers that settings are made of."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field


def _whole(value: Any) -> Any:
    """Return a float such as 6e5, which a count may be written as, as an int; anything else as it is."""
    if isinstance(value, float) and value.is_integer() and value < 2**63:
        return int(value)
    return value


Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Few = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_whole)]
Probability = Annotated[float, Field(ge=0, le=1)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
