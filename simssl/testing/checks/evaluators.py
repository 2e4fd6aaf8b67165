"""Checks of evaluators: their results are well formed and true where the truth is known, and they change nothing."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from simssl.api import Evaluator, Metric, Result, Skip
from simssl.evaluation.evaluate import why_skipped
from simssl.evaluation.other_data import Other
from simssl.evaluation.subject import FrozenSubject
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyEncoder, TinyObjective, default_params, tiny_run
from simssl.testing.oracle import noise_method, oracle_method, oracle_run
from simssl.testing.outcomes import Check, DoesNotApply
from simssl.testing.randomness import leaves_global_randomness
from simssl.training.build import BuiltRun
from simssl.training.contract import check_result

T = TypeVar("T")


def result_is_well_formed(evaluator: type[Evaluator], folder: Path) -> None:
    """Metrics are finite numbers called `<metric>` or `<target>/<metric>`, with unit, direction and a protocol in JSON.
    Pictures are uint8 (C, H, W)."""
    result = _applied(evaluator, folder, _evaluate)
    check_result(evaluator(default_params(evaluator)), result)
    for name in (*result.metrics, *result.skipped):
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name), f"'{name}' is neither <metric> nor <target>/<metric>"
    for name, metric in result.metrics.items():
        assert metric.unit, f"'{name}' has no unit"
        assert metric.better in ("higher", "lower", None), f"better of '{name}' is {metric.better!r}"
        assert math.isfinite(metric.value), f"'{name}' is {metric.value}; leave it out, with a reason in `skipped`"
        _assert_json(dict(metric.protocol), f"of '{name}'")
    assert result.protocol, "there is no protocol"
    _assert_json(dict(result.protocol), "of the result")


def _assert_json(protocol: dict[str, Any], whose: str) -> None:
    try:
        json.dumps(protocol, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the protocol {whose} is not JSON: {error}") from None


def randomness_comes_from_the_subject_alone(evaluator: type[Evaluator], folder: Path) -> None:
    """It measures the same again whatever the global random state, and leaves that state as it is."""
    first, second = _applied(evaluator, folder, _twice)
    assert first.keys() == second.keys(), "it measures other things the second time"
    for name in first:
        one = first[name]
        other = second[name]
        assert one == other, f"'{name}' is {one.value}, and {other.value} the second time"


def _twice(evaluator: type[Evaluator], built: BuiltRun, folder: Path, **params: Any) -> list[Mapping[str, Metric]]:
    """The metrics of two measurements, each with another global random state."""
    metrics = []
    for seed in (0, 1):
        with leaves_global_randomness(seed, "subject.generator"):
            result = _evaluate(evaluator, built, folder, **params)
        metrics.append(result.metrics)
    return metrics


def model_is_left_alone(evaluator: type[Evaluator], folder: Path) -> None:
    """Weights and statistics of the method are as they were, and none of them has a gradient."""
    _applied(evaluator, folder, _leaves_the_model_alone)


def _leaves_the_model_alone(evaluator: type[Evaluator], built: BuiltRun, folder: Path, **params: Any) -> None:
    before = copy.deepcopy(built.objective.state_dict())
    _evaluate(evaluator, built, folder, **params)
    for name, value in built.objective.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} was changed"
    for name, parameter in built.objective.named_parameters():
        assert parameter.grad is None, f"{name} has a gradient"


def oracle_reaches_its_values_and_noise_falls_to_chance(evaluator: type[Evaluator], folder: Path) -> None:
    """The representation of its `oracle()` has the metrics that the oracle says, and noise has those of chance. Only
    for evaluators that have an oracle."""
    oracle = evaluator.oracle()
    if oracle is None:
        raise DoesNotApply("it has no oracle()")
    assert oracle.values, "its oracle has no values"
    assert oracle.noise, "its oracle says nothing of noise"
    methods = (
        ("the oracle", oracle_method(oracle), oracle.values),
        ("noise", noise_method(oracle), oracle.noise),
    )
    for whose, method, values in methods:
        built = oracle_run(oracle, method)
        try:
            result = _evaluate(evaluator, built, folder / whose, **oracle.params)
        except Skip as skip:
            raise AssertionError(f"it skips {whose}: {skip}") from skip
        metrics = result.metrics
        for name, (least, most) in values.items():
            names = ", ".join(metrics)
            assert name in metrics, f"of {whose} there is no metric '{name}' but {names}"
            value = metrics[name].value
            bounds = f"from {least:g} to {most:g}"
            assert least <= value <= most, f"'{name}' of {whose} is {value:g}, not {bounds}"


def _applied(
    evaluator: type[Evaluator],
    folder: Path,
    look: Callable[..., T],
) -> T:
    """Return what `look(evaluator, built, folder, **params)` returns of the first run that the evaluator applies to.

    The runs are of the method that has all that one can have, of the bare encoder, and of the evaluator's oracle.
    DoesNotApply if it applies to none of them, or skips each.
    """
    reasons = []
    for number, (built, params) in enumerate(_runs_for(evaluator)):
        instance = evaluator(default_params(evaluator, **params))
        reason = why_skipped(instance, built)
        if reason is None:
            try:
                return look(evaluator, built, folder / str(number), **params)
            except Skip as skip:
                reason = f"it skips the suite's small data: {skip}"
        reasons.append(reason)
    raise DoesNotApply(f"no method of the suite has all that it needs: {reasons[0]}")


def _runs_for(evaluator: type[Evaluator]) -> Iterator[tuple[BuiltRun, Mapping[str, Any]]]:
    """Yield runs, with the parameters that the evaluator measures each with."""
    yield tiny_run(TinyObjective), {}
    yield tiny_run(TinyEncoder), {}
    oracle = evaluator.oracle()
    if oracle is not None:
        yield oracle_run(oracle, oracle_method(oracle)), oracle.params


def _evaluate(evaluator: type[Evaluator], built: BuiltRun, folder: Path, **params: Any) -> Result:
    instance = evaluator(default_params(evaluator, **params))
    reason = why_skipped(instance, built)
    assert reason is None, f"it does not apply to its own oracle: {reason}"
    instance.check(built.data)
    subject = FrozenSubject(built, RunFolder(folder), "evaluator", _other(evaluator, built))
    with torch.no_grad():
        return instance.run(subject)


def _other(evaluator: type[Evaluator], built: BuiltRun) -> Other | None:
    """The other data set of the evaluator's oracle, if it fits the run's images."""
    oracle = evaluator.oracle()
    if oracle is None or oracle.other is None:
        return None
    fits = oracle.other.images.shape[1:] == built.data.train.images.shape[1:]
    return Other("other", oracle.other, "") if fits else None


CHECKS: tuple[Check, ...] = (
    result_is_well_formed,
    randomness_comes_from_the_subject_alone,
    model_is_left_alone,
    oracle_reaches_its_values_and_noise_falls_to_chance,
)
