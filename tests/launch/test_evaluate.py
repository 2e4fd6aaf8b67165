"""A trained run is measured again: what was skipped, what has changed, and what another version wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

Command = Callable[..., Result]
Write = Callable[..., Path]

DRAWING = """
    from pathlib import Path

    import simssl
    import torch
    from simssl.api import Evaluator, Metric, Result, Skip

    class Drawing(Evaluator):
        class Params(simssl.Params):
            what: str = "lines"
            "Name of the picture; nothing is drawn, but skipped, if empty."

        def run(self, subject):
            if not self.params.what:
                raise Skip("there is nothing to draw")
            weights = Path("weights").exists()
            return Result(
                {"distance": Metric(1.0, "1")} if weights else {},
                {self.params.what: torch.zeros(1, 4, 4, dtype=torch.uint8)},
                {"split": "test"},
                skipped={} if weights else {"distance": "the weights are not here"},
            )

    @simssl.hookimpl
    def simssl_evaluator():
        return Drawing
"""


@pytest.fixture
def drawing(package: Callable[..., Path]) -> None:
    package("drawing-dist", "drawing_evaluator", DRAWING, evaluator="drawing")


def metrics(run: Path) -> dict[str, Any]:
    entries: dict[str, Any] = json.loads((run / "metrics.json").read_text())["metrics"]
    return entries


@pytest.mark.usefixtures("drawing")
def test_what_was_skipped_in_part_is_measured_once_it_can_be(simssl: Command, small: Write) -> None:
    """By evaluate, which is asked for; a run that is done stays done."""
    simssl("run", small(evaluators=[{"name": "drawing"}, {"name": "knn"}]))
    (run,) = Path("runs/small").iterdir()
    assert metrics(run)["drawing/distance"]["skipped"] == "the weights are not here"
    Path("weights").touch()
    assert "is done already" in simssl("run", small(evaluators=[{"name": "drawing"}, {"name": "knn"}])).stderr
    assert "skipped" in metrics(run)["drawing/distance"]
    assert simssl("evaluate", run).exit_code == 0
    assert metrics(run)["drawing/distance"]["value"] == 1


@pytest.mark.usefixtures("drawing")
def test_pictures_are_replaced_as_numbers_are(simssl: Command, small: Write) -> None:
    """And those of an evaluator whose name begins alike are left alone."""
    simssl("run", small(evaluators=[{"name": "drawing"}, {"name": "drawing", "as": "drawing-x"}]))
    (run,) = Path("runs/small").iterdir()

    def pictures() -> list[str]:
        return sorted(str(file.relative_to(run / "images")) for file in (run / "images").rglob("*.png"))

    assert pictures() == ["drawing-x/lines.png", "drawing/lines.png"]
    simssl("evaluate", run, "-e", "{name: drawing, what: dots}")
    assert pictures() == ["drawing-x/lines.png", "drawing/dots.png"]
    simssl("evaluate", run, "-e", "{name: drawing, what: ''}")
    assert pictures() == ["drawing-x/lines.png"]


def test_a_run_of_another_version_is_measured_by_name(simssl: Command, small: Write) -> None:
    """Though its file has a parameter that the evaluator does not know any more."""
    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    file = run / "experiment.yaml"
    older = yaml.safe_load(file.read_text())
    older["evaluators"][0]["weighted"] = False
    file.write_text(yaml.safe_dump(older))
    whole = simssl("evaluate", run)
    assert whole.exit_code == 2
    assert "unknown key 'weighted'" in whole.stderr
    result = simssl("evaluate", run, "-e", "{name: knn, as: near, k: 1}")
    assert result.exit_code == 0, result.stderr
    assert {"knn/class/accuracy", "near/class/accuracy"} == set(metrics(run))


def test_features_are_computed_once(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second evaluate reads them, and does not encode."""
    from simssl.evaluation.subject import FrozenSubject

    simssl("run", small())
    (run,) = Path("runs/small").iterdir()
    monkeypatch.setattr(FrozenSubject, "encode", None)
    result = simssl("evaluate", run, "-e", "{name: knn, as: near, k: 1}")
    assert result.exit_code == 0, result.stderr
    assert metrics(run)["near/class/accuracy"]["value"] > 0.3


def test_representations_that_are_not_finite_are_refused(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from simssl.api import Posterior
    from simssl.evaluation.subject import FrozenSubject

    monkeypatch.setattr(FrozenSubject, "posterior", lambda self, x: Posterior(torch.full((len(x), 4), torch.nan)))
    result = simssl("run", small())
    assert result.exit_code == 1
    assert "the representation of 1,437 of the 1,437 train images is not finite; train runs/small" in result.stderr
