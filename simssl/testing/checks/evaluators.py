"""Checks of evaluators: their results are well formed and true where the truth is known, and they change nothing."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path
from typing import Any

import torch

from simssl.api import Evaluator, Objective, Result
from simssl.evaluation.evaluate import why_skipped
from simssl.evaluation.subject import FrozenSubject
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyEncoder, TinyObjective, default_params, tiny_run
from simssl.testing.oracle import noise_method, oracle_method, oracle_run
from simssl.testing.outcomes import Check, DoesNotApply
from simssl.testing.randomness import leaves_global_randomness
from simssl.training.build import BuiltRun
from simssl.training.contract import check_result


def result_is_well_formed(evaluator: type[Evaluator], folder: Path) -> None:
    """Metrics are finite numbers called `<metric>` or `<target>/<metric>`, with unit, direction and a protocol in JSON.
    Pictures are uint8 (C, H, W)."""
    result = _evaluate(evaluator, _applicable(evaluator), folder)
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
    built = _applicable(evaluator)
    results = []
    for seed in (0, 1):
        with leaves_global_randomness(seed, "subject.generator"):
            results.append(_evaluate(evaluator, built, folder))
    first, second = (result.metrics for result in results)
    assert first.keys() == second.keys(), "it measures other things the second time"
    for name in first:
        one = first[name]
        other = second[name]
        assert one == other, f"'{name}' is {one.value}, and {other.value} the second time"


def model_is_left_alone(evaluator: type[Evaluator], folder: Path) -> None:
    """Weights and statistics of the method are as they were, and none of them has a gradient."""
    built = _applicable(evaluator)
    before = copy.deepcopy(built.objective.state_dict())
    _evaluate(evaluator, built, folder)
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
        result = _evaluate(evaluator, built, folder / whose, **oracle.params)
        metrics = result.metrics
        for name, (least, most) in values.items():
            names = ", ".join(metrics)
            assert name in metrics, f"of {whose} there is no metric '{name}' but {names}"
            value = metrics[name].value
            bounds = f"from {least:g} to {most:g}"
            assert least <= value <= most, f"'{name}' of {whose} is {value:g}, not {bounds}"


def _applicable(evaluator: type[Evaluator]) -> BuiltRun:
    """A run that the evaluator applies to: of the method that has all that one can have, or of the bare encoder."""
    instance = evaluator(default_params(evaluator))
    objectives: tuple[type[Objective], ...] = (TinyObjective, TinyEncoder)
    reasons = []
    for objective in objectives:
        built = tiny_run(objective)
        reason = why_skipped(instance, built)
        if reason is None:
            return built
        reasons.append(reason)
    raise DoesNotApply(f"no method of the suite has all that it needs: {reasons[0]}")


def _evaluate(evaluator: type[Evaluator], built: BuiltRun, folder: Path, **params: Any) -> Result:
    instance = evaluator(default_params(evaluator, **params))
    reason = why_skipped(instance, built)
    assert reason is None, f"it does not apply to its own oracle: {reason}"
    instance.check(built.data)
    subject = FrozenSubject(built, RunFolder(folder), "evaluator")
    with torch.no_grad():
        return instance.run(subject)


CHECKS: tuple[Check, ...] = (
    result_is_well_formed,
    randomness_comes_from_the_subject_alone,
    model_is_left_alone,
    oracle_reaches_its_values_and_noise_falls_to_chance,
)
