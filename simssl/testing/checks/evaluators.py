"""Checks of evaluators: what they return, that they change nothing, and that they find what is known."""

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
    """Metrics are finite numbers called `<metric>` or `<target>/<metric>`, with unit, direction and a protocol in JSON;
    pictures are uint8 (C, H, W)."""
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
    """It measures the same again whatever the global random state, and leaves that as it is."""
    built, results = _applicable(evaluator), []
    for seed in (0, 1):
        with leaves_global_randomness(seed, "subject.generator"):
            results.append(_evaluate(evaluator, built, folder))
    first, second = (result.metrics for result in results)
    assert first.keys() == second.keys(), "it measures other things the second time"
    for name in first:
        assert first[name] == second[name], f"'{name}' is {first[name].value}, and {second[name].value} the second time"


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
    """For evaluators with an `oracle()`: its representation has the metrics that it says, and noise in its place those
    of chance."""
    oracle = evaluator.oracle()
    if oracle is None:
        raise DoesNotApply("it has no oracle()")
    assert oracle.values, "its oracle has no values"
    assert oracle.noise, "its oracle says nothing of noise"
    for what, method, values in (
        ("the oracle", oracle_method(oracle), oracle.values),
        ("noise", noise_method(oracle), oracle.noise),
    ):
        built = oracle_run(oracle, method)
        found = _evaluate(evaluator, built, folder / what, **oracle.params)
        for name, (least, most) in values.items():
            assert name in found.metrics, f"of {what} there is no metric '{name}' but {', '.join(found.metrics)}"
            value = found.metrics[name].value
            assert least <= value <= most, f"'{name}' of {what} is {value:g}, not from {least:g} to {most:g}"


def _applicable(evaluator: type[Evaluator]) -> BuiltRun:
    """A method that the evaluator applies to: with all that one can have, or an encoder alone."""
    instance = evaluator(default_params(evaluator))
    objectives: tuple[type[Objective], ...] = (TinyObjective, TinyEncoder)
    runs = [tiny_run(objective) for objective in objectives]
    reasons = [why_skipped(instance, built) for built in runs]
    for built, reason in zip(runs, reasons, strict=True):
        if reason is None:
            return built
    raise DoesNotApply(f"no method of the suite has all that it needs: {reasons[0]}")


def _evaluate(evaluator: type[Evaluator], built: BuiltRun, folder: Path, **params: Any) -> Result:
    instance = evaluator(default_params(evaluator, **params))
    reason = why_skipped(instance, built)
    assert reason is None, f"it does not apply to its own oracle: {reason}"
    instance.check(built.data)
    with torch.no_grad():
        return instance.run(FrozenSubject(built, RunFolder(folder), "evaluator"))


CHECKS: tuple[Check, ...] = (
    result_is_well_formed,
    randomness_comes_from_the_subject_alone,
    model_is_left_alone,
    oracle_reaches_its_values_and_noise_falls_to_chance,
)
