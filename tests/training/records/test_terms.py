"""The window of terms: their sums, the first step at which one was not finite, and how few operations that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from simssl.api import Terms
from simssl.errors import RunError
from simssl.testing.operations import Operations
from simssl.training.records.terms import TermWindow

NAN, INF = math.nan, math.inf


def terms_of(loss: dict[str, float], monitor: dict[str, float] | None = None, dtype: Any = torch.float32) -> Terms:
    as_tensors = [
        {name: torch.tensor(value, dtype=dtype) for name, value in part.items()} for part in (loss, monitor or {})
    ]
    return Terms(*as_tensors)


def window_of(terms: Sequence[Terms]) -> TermWindow:
    window = TermWindow()
    for of_step in terms:
        window.add(of_step)
        window.count += 1
    return window


def test_a_step_is_added_in_five_operations() -> None:
    terms = terms_of({"a": 1.0, "b": 2.0}, {"c": 3.0})
    window = window_of([terms])
    with Operations() as operations:
        window.add(terms)
    assert len(operations.names) <= 5, operations.names


def test_the_means_are_those_of_the_steps() -> None:
    values_SL = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    steps = [terms_of({"a": a, "b": b}, {"c": c}) for a, b, c in values_SL.tolist()]
    means = window_of(steps).take(7).means("the run")
    a, b, c = values_SL.double().mean(0).tolist()
    assert means == pytest.approx({"loss": a + b, "a": a, "b": b, "c": c}, rel=1e-12)


def first_not_finite(values_SL: Tensor, before: int) -> tuple[str, int] | None:
    """The term and the step, by looking at each step after another."""
    for step, values in enumerate(values_SL.tolist(), before + 1):
        for name, value in zip("ab", values, strict=True):
            if not math.isfinite(value):
                return name, step
    return None


@pytest.mark.parametrize("seed", range(20))
def test_the_first_step_that_was_not_finite_is_told(seed: int) -> None:
    """Whatever follows it: an infinity with the other sign, a NaN, or numbers."""
    generator = torch.Generator().manual_seed(seed)
    values_SL = torch.randn(12, 2, generator=generator)
    kind_SL = torch.randint(0, 24, (12, 2), generator=generator)
    for kind, value in enumerate((NAN, INF, -INF)):
        values_SL[kind_SL == kind] = value
    before = 30 + seed
    record = window_of([terms_of({"a": a, "b": b}) for a, b in values_SL.tolist()]).take(before + 12)
    expected = first_not_finite(values_SL, before)
    if expected is None:
        record.refuse_not_finite("the run")
        return
    name, step = expected
    with pytest.raises(
        RunError, match=f"the loss term '{name}' is not finite at step {step} of the run; try a smaller"
    ):
        record.means("the run")


def test_the_advice_is_another_one_at_the_first_step() -> None:
    with pytest.raises(RunError, match=r"'b' is not finite at step 1 of the run; no weight has been changed yet"):
        window_of([terms_of({"a": 1.0, "b": NAN})]).take(1).means("the run")


def test_a_monitor_may_be_anything() -> None:
    steps = [terms_of({"a": 1.0}, {"m": value}) for value in (1.0, NAN, 2.0)]
    means = window_of(steps).take(3).means("the run")
    assert means["a"] == 1.0
    assert math.isnan(means["m"])


def test_finite_terms_do_not_add_up_to_an_infinity() -> None:
    steps = 5 * [terms_of({"a": 3e38})]
    assert window_of(steps).take(5).means("the run")["a"] == pytest.approx(3e38)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64])
def test_terms_may_be_of_any_type_of_number(dtype: torch.dtype) -> None:
    steps = 3 * [Terms({"a": torch.tensor(2.0)}, {"m": torch.tensor(2, dtype=dtype)})]
    assert window_of(steps).take(3).means("the run") == {"loss": 2.0, "a": 2.0, "m": 2.0}


def test_a_window_goes_on_from_its_state() -> None:
    """Also from one that an earlier version of simssl has saved, in float32."""
    steps = [terms_of({"a": 1.0}, {"m": NAN}), terms_of({"a": 2.0}, {"m": 1.0}), terms_of({"a": INF}, {"m": 1.0})]
    for earlier in (False, True):
        saved = window_of(steps[:1]).state()
        if earlier:
            saved = {**saved, "sums": torch.tensor([1.0, NAN]), "bad": torch.tensor([0, 1])}
        window = TermWindow()
        window.restore(saved, torch.device("cpu"))
        window.add(steps[1])
        window.count += 1
        assert window.so_far(2).means("the run")["a"] == 1.5
        window.add(steps[2])
        window.count += 1
        with pytest.raises(RunError, match="'a' is not finite at step 3"):
            window.take(3).means("the run")


def test_a_record_stays_as_it_was_taken() -> None:
    window = window_of([terms_of({"a": 1.0})])
    record = window.take(1)
    window.add(terms_of({"a": NAN}))
    window.count += 1
    assert record.means("the run")["a"] == 1.0
    with pytest.raises(RunError, match="step 2"):
        window.take(2).means("the run")
    window.add(terms_of({"a": 5.0}))
    window.count += 1
    assert window.take(3).means("the run")["a"] == 5.0
