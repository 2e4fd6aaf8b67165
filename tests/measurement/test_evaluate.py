"""metrics.json: what was measured, by which protocol, and what was skipped and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Command = Callable[..., Result]
Write = Callable[..., Path]


def metrics(run: Path | None = None) -> dict[str, Any]:
    (run,) = [run] if run else Path("runs/small").iterdir()
    document = json.loads((run / "metrics.json").read_text())
    assert set(document) == {"schema", "experiment", "objective", "seed", "metrics"}
    found: dict[str, Any] = document["metrics"]
    return found


def test_every_number_has_unit_direction_and_protocol(simssl: Command, small: Write) -> None:
    names = ["knn", "style_probe", "reconstruction"]
    evaluators = [*({"name": n} for n in names), {"name": "mlp_probe", "epochs": 2}]
    assert simssl("run", small(evaluators=evaluators)).exit_code == 0
    found = metrics()
    assert {key.split("/")[0] for key in found} == {*names, "mlp_probe"}
    for key, entry in found.items():
        assert set(entry) == {"value", "unit", "better", "protocol"}, key
        assert {"evaluator", "data", "split"} <= set(entry["protocol"]), key
    text = (next(Path("runs/small").iterdir()) / "metrics.json").read_text()
    assert str(Path.cwd()) not in text


def test_what_does_not_apply_is_recorded_with_its_reason(simssl: Command, small: Write) -> None:
    result = simssl("run", small(objective={"name": "simclr"}, views={}, evaluators=[{"name": "reconstruction"}]))
    assert result.exit_code == 0
    assert metrics()["reconstruction"]["skipped"] == "simclr has no decoder"
    assert "reconstruction: skipped, simclr has no decoder" in result.stdout
    assert (
        "is done already"
        in simssl("run", small(objective={"name": "simclr"}, views={}, evaluators=[{"name": "reconstruction"}])).stderr
    )


def test_style_needs_views_that_vary(simssl: Command, small: Write) -> None:
    simssl("run", small(views={}, evaluators=[{"name": "style_probe"}]))
    assert metrics()["style_probe"]["skipped"] == "the views do not vary"


def test_two_evaluators_of_one_name(simssl: Command, small: Write) -> None:
    evaluators = [{"name": "knn"}, {"name": "knn", "as": "knn_on_test", "select": "test"}]
    result = simssl("run", small(evaluators=evaluators))
    assert set(metrics()) == {"knn/class/accuracy", "knn_on_test/class/accuracy"}
    assert "(selected on test)" in result.stdout.replace("\n", " ").replace("  ", " ")


def test_new_evaluators_on_an_old_run(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    before = metrics()
    result = simssl("evaluate", run, "-e", "style_probe", "-e", "{name: knn, as: near, k: 1}")
    assert result.exit_code == 0, result.stderr
    assert {"knn/class/accuracy", "near/class/accuracy", "style_probe/R2"} <= set(metrics())
    assert metrics()["knn/class/accuracy"] == before["knn/class/accuracy"]
    assert metrics()["near/class/accuracy"]["protocol"]["selected"] == {"k": 1}


def test_the_order_of_evaluators_changes_nothing(simssl: Command, small: Write) -> None:
    names = ["knn", "style_probe", "reconstruction"]
    texts = []
    for runs, order in (("a", names), ("b", names[::-1])):
        simssl("run", small(evaluators=[{"name": n} for n in order]), "--runs", runs)
        texts.append(next(Path(runs).rglob("metrics.json")).read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere is not a run's folder: it has no experiment.yaml"),
        (["nowhere", "-e", "kn"], "no evaluator is called 'kn'; did you mean 'knn'?"),
        (["nowhere", "-e", "{name: knn, kk: 1}"], "unknown key 'kk'; did you mean 'k'?"),
        (["nowhere", "-e", "{name: knn"], "not YAML"),
    ],
)
def test_evaluate_says_what_is_wrong(words: list[str], message: str, simssl: Command) -> None:
    result = simssl("evaluate", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unfinished_run_is_not_evaluated(simssl: Command, small: Write) -> None:
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    (run / "checkpoint.pt").unlink()
    result = simssl("evaluate", run, "-e", "style_probe")
    assert result.exit_code == 2
    assert "is not trained to the end" in result.stderr


def test_an_evaluator_that_fails_spares_what_was_measured(
    simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    code = """
        import simssl
        from simssl.api import Evaluator, Metric, Result

        class Broken(Evaluator):
            '''Finds not-a-number.'''
            def run(self, subject):
                return Result({"rank": Metric(float("nan"), "dimensions")}, protocol={"split": "test"})

        @simssl.hookimpl
        def simssl_evaluator():
            return Broken
    """
    package("nan-dist", "nan_evaluator", code, evaluator="nan")
    result = simssl("run", small(evaluators=[{"name": "knn"}, {"name": "nan"}]))
    assert result.exit_code == 1
    assert "evaluator 'nan' found nan for rank" in result.stderr
    assert set(metrics()) == {"knn/class/accuracy"}
