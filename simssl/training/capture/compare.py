"""Whether replayed steps do what eager ones do, by the terms of the loss that both sum up. T counts the terms."""

from __future__ import annotations

import logging
import math

from torch import Tensor

from simssl.training.records.terms import TermWindow

logger = logging.getLogger("simssl")

TOLERANCES = {"float32": 1e-3, "tf32": 3e-3, "bfloat16": 1e-2}
"""The largest difference of a replayed term from the eager one, relative to the eager one, by the step's precision.

Kernels that add in another order differ by less. Steps that draw other noise differ by more. Ours.
"""

ROUNDING = 1e-6
"""Any term may differ by this share of the largest term, for it can be a small difference of large numbers.

It is some roundings of float32, in which the losses are computed. Ours.
"""


class NotCapturable(Exception):
    """A step does something that a replay would not repeat. The message is the reason."""


def compare(replayed: TermWindow, expected_T: Tensor, steps: int, precision: str) -> None:
    """Raise NotCapturable if replayed steps have summed up other terms than as many eager ones.

    A term may differ by what its precision rounds. The log tells the largest difference, and a user hears of it if it
    is more than a tenth of what is allowed.
    """
    expected_sums = expected_T.tolist()
    replayed_sums = replayed.sums.tolist()
    sizes = [abs(value) for value in expected_sums if math.isfinite(value)]
    rounding = ROUNDING * max(sizes, default=0.0)
    tolerance = TOLERANCES[precision]
    largest = 0.0
    for name, eager_sum, replayed_sum in zip(replayed.names, expected_sums, replayed_sums, strict=True):
        difference = _difference(eager_sum, replayed_sum, rounding)
        if not difference <= tolerance:
            raise NotCapturable(
                f"replayed steps differ from eager ones (the term '{name}' is {eager_sum / steps:.6g} and "
                f"{replayed_sum / steps:.6g}), so that something in a step is not done on the device, or not by the "
                "generator that is handed in"
            )
        largest = max(largest, difference)
    level = logging.INFO if largest > tolerance / 10 else logging.DEBUG
    logger.log(
        level,
        f"the terms of replayed steps differ from those of eager ones by {largest:.1e} of themselves at most; in "
        f"{precision} {tolerance:.0e} is allowed",
    )


def _difference(eager: float, replayed: float, rounding: float) -> float:
    """The difference relative to the eager value; 0 if it is within rounding, or neither value is a number."""
    difference = abs(replayed - eager)
    both_nan = math.isnan(eager) and math.isnan(replayed)
    if eager == replayed or both_nan or difference <= rounding:
        return 0.0
    size = max(abs(eager), rounding)
    return difference / size if size else math.inf
