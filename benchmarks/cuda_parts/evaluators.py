"""Evaluators beside scikit-learn on the same features (`evaluation.py`): seconds, and whether they find the same.

Ours is the median of three, after one to warm up; scikit-learn's is measured once, a short one after one to warm up.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from rows import Settings, begin, guarded, row, skip, wait

if TYPE_CHECKING:
    from comparisons import Comparison

SHORT = 3.0
"""Seconds under which scikit-learn's is measured again."""


def main() -> None:
    settings = begin()
    try:
        from comparisons import comparisons
    except ModuleNotFoundError as error:  # a pack may have scikit-learn without SciPy
        skip(f"{error.name} is not installed")
    warnings.simplefilter("ignore")  # that the networks have not converged, which they need not
    for comparison in comparisons(settings):
        with guarded(comparison.what):
            compare(comparison, settings)


def compare(comparison: Comparison, settings: Settings) -> None:
    our_score = comparison.ours()
    times = [timed(comparison.ours, settings)[0] for _ in range(3)]
    ours = statistics.median(times)
    row(f"{comparison.what}: simssl", ours, "s")
    theirs, their_score = timed(comparison.theirs, settings)
    if theirs < SHORT:
        theirs, their_score = timed(comparison.theirs, settings)
    scores = {}
    if our_score is not None:
        scores = {"score": our_score, "their_score": their_score}
    row(f"{comparison.what}: beside {comparison.whose}", theirs / ours, "times as fast", theirs_s=theirs, **scores)


def timed(call: Callable[[], float | None], settings: Settings) -> tuple[float, float | None]:
    wait(settings.device)
    start = time.perf_counter()
    score = call()
    wait(settings.device)
    return time.perf_counter() - start, score


if __name__ == "__main__":
    main()
