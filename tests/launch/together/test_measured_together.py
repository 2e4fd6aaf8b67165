"""Several processes: the first measures the run in training, and all of them end after the same step."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from teams import ended, started, weights

from simssl.store.folder import RunFolder
from simssl.store.history import read_history

Write = Callable[..., Path]
TRAINING = {"views": 1280, "batch_views": 32, "log_every": 5, "checkpoint_seconds": 0}
"""40 steps of simclr."""

EVALUATOR = """
import os
import signal

import simssl
from simssl.api import Evaluator, Metric, Result
from simssl.blocks.distributed import world_size


class Falling(Evaluator):
    '''A number that falls from call to call; in its second call it may send a signal.'''

    def run(self, subject):
        assert world_size() == 1, "it measures alone"
        with open("calls", "a+") as calls:
            calls.write(".")
            calls.seek(0)
            number = len(calls.read())
        if number == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        number = -float(number)
        return Result({"number": Metric(number, "", "higher", held_out=number)})


@simssl.hookimpl
def simssl_evaluator():
    return Falling
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_the_first_measures_and_all_end_after_the_same_step(small: Write, tmp_path: Path) -> None:
    """A signal in a measurement waits for its end. A number ends the training of both, which keep the best weights."""
    plugin = tmp_path / "falling.py"
    plugin.write_text(EVALUATOR)
    selection = {"every_steps": 10, "evaluator": {"name": "falling"}, "metric": "number", "patience": 1, "keep": "best"}
    measure = {"every_steps": 15, "evaluators": [{"name": "knn"}]}
    file = small(training=TRAINING, objective={"name": "simclr"}, selection=selection, measure=measure)
    words = ("run", file, "--plugin", plugin)
    codes, said = ended(started(tmp_path, *words))
    assert codes == [143, 143], said
    assert "is saved after step 10" in said[0]
    codes, said = ended(started(tmp_path, *words))
    assert codes == [0, 0], said
    assert said[0].count("the training ends after step 20: number was best after step 10") == 1
    assert said[1] == ""
    (history,) = (tmp_path / "runs").rglob("history.jsonl")
    moments = read_history(RunFolder(history.parent))
    assert [moment.step for moment in moments] == [0, 10, 15, 20]
    (metrics,) = (tmp_path / "runs").rglob("metrics.json")
    assert "knn/class/accuracy" in json.loads(metrics.read_text())["metrics"]
    (environment,) = (tmp_path / "runs").rglob("environment.json")
    times = json.loads(environment.read_text())["training"]["times"]
    assert (times["steps"], times["kept_step"]) == (20, 10)
    assert weights(tmp_path / "runs")
