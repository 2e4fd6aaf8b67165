"""The terms of replayed and of eager steps are compared each by its own size, and by the rounding of the precision."""

from __future__ import annotations

import logging

import pytest
import torch

from simssl.training.capture.compare import TOLERANCES, NotCapturable, compare
from simssl.training.records.terms import TermWindow

NAN, INF = float("nan"), float("inf")


def compared(eager: list[float], replayed: list[float], precision: str = "float32") -> bool:
    """True if terms of these sums are taken for equal."""
    window = TermWindow()
    window.names = [f"term{number}" for number in range(len(eager))]
    window.totals_2T = torch.tensor([replayed, [1.0] * len(replayed)])
    try:
        compare(window, torch.tensor(eager), 1, precision)
    except NotCapturable:
        return False
    return True


@pytest.mark.parametrize(
    ("eager", "replayed", "equal"),
    [
        ([1.0], [1.0], True),
        ([1.0], [1.0009], True),
        ([1.0], [1.002], False),
        ([300.0, 1e-2], [300.0, 1.5e-2], False),
        ([300.0, 1e-5], [300.0, 1.5e-5], True),  # a rounding of what it may be a difference of
        ([300.0, 0.0], [300.0, 1e-4], True),
        ([300.0, 0.0], [300.0, 1e-2], False),
        ([0.0, 0.0], [0.0, 0.0], True),
        ([0.0], [1e-30], False),
        ([NAN, 1.0], [NAN, 1.0], True),
        ([NAN], [1.0], False),
        ([1.0], [NAN], False),
        ([INF, 1.0], [INF, 1.0], True),
        ([INF, 1.0], [INF, 1.5], False),
        ([1.0], [INF], False),
    ],
)
def test_terms_are_equal_within_the_rounding_of_the_precision(
    eager: list[float], replayed: list[float], equal: bool
) -> None:
    assert compared(eager, replayed) == equal


def test_a_coarser_precision_may_differ_by_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "simssl")
    assert [compared([1.0], [1.002], precision) for precision in TOLERANCES] == [False, True, True]
    assert [compared([1.0], [1.008], precision) for precision in TOLERANCES] == [False, False, True]
    assert not compared([1.0], [1.02], "bfloat16")
    assert "differ from those of eager ones by 8.0e-03 of themselves at most; in bfloat16 1e-02" in caplog.text
