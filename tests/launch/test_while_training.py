"""A run that is measured while it trains, by the command line: its weights, history and end, and what it keeps."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from processes import Process

from simssl import load
from simssl.api import RunInfo
from simssl.launch.status.progress import ProgressTracker
from simssl.store.folder import RunFolder
from simssl.store.history import Moment, read_history
from simssl.store.progress import progress_now, write_progress

Simssl = Callable[..., Result]
Write = Callable[..., Path]

TRAINING = {"views": 1800, "batch_views": 60, "log_every": 7, "checkpoint_seconds": 0}
"""30 steps."""
MEASURE = {"every_steps": 10, "evaluators": [{"name": "knn"}, {"name": "style_probe", "images": 50}]}
VICREG = {"objective": {"name": "vicreg"}, "training": TRAINING}
"""Its projector has batch norms."""

EVALUATOR = """
import os

import torch
import simssl
from simssl.api import Evaluator, Metric, Result


class Scripted(Evaluator):
    '''Numbers on held-out images from a script, which on test say the contrary.'''

    class Params(simssl.Params):
        script: tuple[float, ...] = ()
        "The numbers, one a call; without them the spread of the training images."
        kill: int = -1
        "The call in which it sends itself a signal."
        signum: int = 9
        "The signal."
        better: str = "higher"
        "The direction."

    calls = 0

    def run(self, subject):
        torch.manual_seed(1)
        call, Scripted.calls = Scripted.calls, Scripted.calls + 1
        if call == self.params.kill:
            os.kill(os.getpid(), self.params.signum)
        script = self.params.script
        number = script[call % len(script)] if script else float(subject.features("train").std())
        better = self.params.better
        return Result({"number": Metric(-number, "", better, held_out=number), "test_alone": Metric(1.0, "", better)})


@simssl.hookimpl
def simssl_evaluator():
    return Scripted
"""


@pytest.fixture
def scripted(tmp_path: Path) -> Path:
    file = tmp_path / "scripted.py"
    file.write_text(EVALUATOR)
    return file


def the_run(runs: Path) -> Path:
    (path,) = (path.parent for path in runs.rglob("experiment.yaml"))
    return path


def state_of(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "checkpoint.pt", weights_only=True)
    return state


def assert_same_weights(one: Path, other: Path) -> None:
    ours, theirs = state_of(one)["objective"], state_of(other)["objective"]
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


def numbers(history: Sequence[Moment], key: str) -> dict[int, float]:
    return {moment.step: moment.metrics[key]["value"] for moment in history}


def test_the_weights_and_the_numbers_are_those_of_a_run_that_is_not_measured(
    simssl: Simssl, small: Write, tmp_path: Path
) -> None:
    """Batch norms and default generators included; the last measurement is the evaluation of the trained run."""
    results = [
        simssl("run", small(**VICREG), "--runs", "without"),
        simssl("run", small(**VICREG, measure=MEASURE, trackers=[{"name": "tensorboard"}]), "--runs", "with"),
    ]
    assert [result.exit_code for result in results] == [0, 0], results[1].stderr
    without, measured = the_run(tmp_path / "without"), the_run(tmp_path / "with")
    assert measured.name == without.name
    assert_same_weights(measured, without)
    assert (measured / "metrics.json").read_bytes() == (without / "metrics.json").read_bytes()
    history = read_history(RunFolder(measured))
    assert [(moment.step, moment.views) for moment in history] == [(0, 0), (10, 600), (20, 1200), (30, 1800)]
    final = json.loads((without / "metrics.json").read_text())["metrics"]
    assert history[-1].metrics["knn/class/accuracy"] == final["knn/class/accuracy"]
    assert len(set(numbers(history, "style_probe/R2").values())) == 4
    assert sorted(path.name for path in (measured / "features").iterdir()) == sorted(
        path.name for path in (without / "features").iterdir()
    )
    assert not (measured / "images" / "style_probe").exists()
    assert curve(measured, "knn/class/accuracy") == pytest.approx(numbers(history, "knn/class/accuracy"))
    again = simssl("run", small(**VICREG, measure=MEASURE), "--runs", "with")
    assert "is done already" in again.stderr


def curve(run: Path, tag: str) -> dict[int, float]:
    """The points of a curve that TensorBoard draws."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    return {event.step: event.value for event in accumulator.Scalars(tag)}


def finished(folder: Path, *words: object) -> tuple[int, str]:
    return Process(folder, "run", *words).finish()


def test_after_a_kill_the_steps_since_the_checkpoint_are_measured_again(
    small: Write, scripted: Path, tmp_path: Path
) -> None:
    """Killed in measurements, before the first checkpoint and later, with a torn line: numbers and weights are those of
    the uninterrupted run, and the history has each step once."""
    selection = {"every_steps": 15, "evaluator": {"name": "scripted"}, "metric": "number", "keep": "best"}

    def file(kill: int = -1, signum: int = 9) -> Path:
        killing = {"name": "scripted", "as": "killer", "kill": kill, "signum": int(signum)}
        measure = {"every_steps": 10, "evaluators": [{"name": "knn"}, {"name": "scripted"}, killing]}
        return small(**VICREG, measure=measure, selection=selection)

    words = ("--plugin", scripted, "--runs")
    code, said = finished(tmp_path, file(), *words, "whole")
    assert code == 0, said
    assert finished(tmp_path, file(kill=1), *words, "killed")[0] == -signal.SIGKILL
    assert finished(tmp_path, file(kill=3), *words, "killed")[0] == -signal.SIGKILL
    killed = the_run(tmp_path / "killed")
    with (killed / "history.jsonl").open("a") as history:
        history.write('{"step": 10, "metr')
    code, said = finished(tmp_path, file(kill=1, signum=signal.SIGTERM), *words, "killed")
    assert code == 128 + signal.SIGTERM, said
    assert "is saved after step 10" in said
    assert finished(tmp_path, file(kill=4), *words, "killed")[0] == -signal.SIGKILL  # after the measurement of step 15
    code, said = finished(tmp_path, file(), *words, "killed")
    assert code == 0, said
    whole = the_run(tmp_path / "whole")
    assert_same_weights(killed, whole)
    ours, theirs = read_history(RunFolder(killed)), read_history(RunFolder(whole))
    assert [moment.step for moment in ours] == [0, 10, 15, 20, 30]
    for moment, expected in zip(ours, theirs, strict=True):
        for key in expected.metrics.keys() - {"killer/number", "killer/test_alone"}:
            assert moment.metrics[key] == expected.metrics[key], key
    steps = [json.loads(line)["step"] for line in (killed / "history.jsonl").read_text().splitlines()]
    assert steps == [0, 10, 15, 15, 20, 30]


MIRRORED = """
from dataclasses import replace

import simssl
from simssl.api import Data, Dataset
from simssl_plugins.datasets.digits import Digits


class Mirrored(Dataset):
    '''Digits, mirrored, twice as large, in three channels, without the last ones of train.'''

    def load(self, root, progress):
        digits = Digits(Digits.Params()).load(root, progress)
        train = digits.train.targets["class"]
        some = {"class": replace(train, values=train.values[:900])}
        kept = replace(digits.train, images=digits.train.images[:900], targets=some, group=None)
        return Data.of(self.other(kept), self.other(digits.test))

    def other(self, split):
        large_NCHW = split.images.flip(3).repeat_interleave(2, 2).repeat_interleave(2, 3)
        return replace(split, images=large_NCHW.repeat(1, 3, 1, 1))


@simssl.hookimpl
def simssl_dataset():
    return Mirrored
"""


def test_other_data_are_measured_beside_the_runs_own_and_may_select(
    simssl: Simssl, small: Write, tmp_path: Path
) -> None:
    """In any order: no features of one data set are taken for those of another. The page has a curve of each."""
    plugin = tmp_path / "mirrored.py"
    plugin.write_text(MIRRORED)
    other = {"name": "knn", "dataset": {"name": "mirrored"}}
    same = {"name": "knn", "as": "same", "dataset": {"name": "digits"}}
    evaluators = [{"name": "knn"}, other, same, {**other, "as": "three", "k": 3}]
    measure = {"every_steps": 15, "evaluators": evaluators}
    selection = {"every_steps": 15, "evaluator": other, "metric": "class/accuracy", "keep": "best"}
    file = small(**VICREG, measure=measure, selection=selection, evaluators=[*reversed(evaluators)])
    result = simssl("run", file, "--plugin", plugin)
    assert result.exit_code == 0, result.stderr
    run = the_run(tmp_path / "runs")
    history = read_history(RunFolder(run))
    keys = ("knn/class/accuracy", "knn:mirrored/class/accuracy", "same/class/accuracy")
    own, there, again = (numbers(history, key) for key in keys)
    assert own == again
    assert own != there

    held_out = {moment.step: moment.metrics[keys[1]]["held_out"] for moment in history if moment.step}
    best = max(held_out, key=lambda step: held_out[step])
    times = json.loads((run / "environment.json").read_text())["training"]["times"]
    assert times["kept_step"] == best
    kept = next(moment for moment in history if moment.step == best)
    final = json.loads((run / "metrics.json").read_text())["metrics"]
    for key in (*keys, "three/class/accuracy"):
        assert final[key] == kept.metrics[key], key
    assert final[keys[1]]["protocol"]["measured_on"] == "mirrored"
    assert len({final[key]["protocol"]["data"] for key in keys}) == 2

    assert simssl("report", file, "--html", "page.html", "--plugin", plugin).exit_code == 0
    source = Path("page.html").read_text()
    for key in keys:
        assert f'aria-label="{key} over the views that were shown' in source


def test_a_setting_of_knn_may_end_a_training_by_held_out_images(simssl: Simssl, small: Write, tmp_path: Path) -> None:
    """One that votes by a single k, and one that is chosen: by images of train, whatever it has on test."""
    for name, k in {"one": 5, "chosen": [1, 5]}.items():
        evaluator = {"name": "knn", "k": k}
        selection = {"every_steps": 5, "evaluator": evaluator, "metric": "class/accuracy", "patience": 1}
        result = simssl("run", small(training=TRAINING, selection=selection, evaluators=[]), "--runs", name)
        assert result.exit_code == 0, result.stderr
        run = the_run(tmp_path / name)
        after_0 = read_history(RunFolder(run))[1:]
        held_out = [moment.metrics["knn/class/accuracy"]["held_out"] for moment in after_0]
        rises = [later > max(held_out[: i + 1]) for i, later in enumerate(held_out[1:])]
        assert all(rises[:-1])
        assert not rises[-1] or after_0[-1].step == 30


def select(script: Sequence[float], **settings: object) -> dict[str, object]:
    evaluator = {"name": "scripted", "script": list(script), "better": settings.pop("better", "higher")}
    return {"every_steps": 5, "evaluator": evaluator, "metric": "number", **settings}


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_a_number_on_held_out_images_ends_the_training(
    simssl: Simssl, small: Write, scripted: Path, tmp_path: Path, better: str
) -> None:
    """The numbers before the first step count for nothing; those on test say the contrary, and are not looked at."""
    sign = 1 if better == "higher" else -1
    script = [sign * number for number in (9.0, 1.0, 3.0, 2.0, 3.0, 1.0, 5.0)]
    selection = select(script, patience=2, better=better)
    result = simssl("run", small(training=TRAINING, selection=selection), "--plugin", scripted)
    assert result.exit_code == 0, result.stderr
    run = the_run(tmp_path / "runs")
    assert state_of(run)["step"] == 20
    assert "ends after step 20: number was best after step 10, and not better in 2 measurements since" in result.stderr
    times = json.loads((run / "environment.json").read_text())["training"]["times"]
    assert (times["steps"], times["best_step"], times["kept_step"]) == (20, 10, 20)
    again = simssl("run", small(training=TRAINING, selection=selection), "--plugin", scripted)
    assert "is done already" in again.stderr


def test_trackers_know_that_a_training_has_ended_before_its_last_step(
    simssl: Simssl, small: Write, scripted: Path, tmp_path: Path
) -> None:
    """Its end is told once, and what is measured then, or later, belongs to the step at which it ended."""
    changes = {
        "training": TRAINING,
        "selection": select([0.0, 5.0, 1.0], patience=1),
        "trackers": [{"name": "console"}, {"name": "tensorboard"}],
    }
    evaluators = [{"name": "knn"}]
    for alias in ("three", "five"):
        result = simssl("run", small(**changes, evaluators=evaluators), "--plugin", scripted)
        assert result.exit_code == 0, result.stderr
        assert result.stderr.count("trained in") == (alias == "three")
        assert "goes on after" not in result.stderr
        evaluators.append({"name": "knn", "as": alias, "k": 3})
    run = the_run(tmp_path / "runs")
    assert state_of(run)["step"] == 10
    result = simssl("evaluate", run, "-e", "{name: knn, as: later, k: 1}", "--plugin", scripted)
    assert result.exit_code == 0, result.stderr
    for label in ("knn", "three", "later"):
        assert list(curve(run, f"{label}/class/accuracy")) == [10]


def test_the_status_says_that_a_training_that_has_ended_early_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simssl.launch.status.progress.SECONDS", 0.01)
    tracker = ProgressTracker()
    tracker.started(RunInfo(tmp_path, "x", "simclr", 0, "cpu", 0, 30, 60, {}))
    tracker.follow(lambda: 20)
    tracker.trained(20)
    written = tmp_path / "progress.json"
    by = time.monotonic() + 10
    while not (seen := json.loads(written.read_text()) if written.exists() else {}).get("measuring"):
        assert time.monotonic() < by
        time.sleep(0.01)
    tracker.ended(None)
    assert (seen["step"], seen["ends"]) == (20, None)


def test_the_best_weights_are_kept(simssl: Simssl, small: Write, scripted: Path, tmp_path: Path) -> None:
    """They are those of a run that ends there; and without keep the last are kept."""
    script = [0.0, 1.0, 7.0, 2.0, 3.0, 1.0, 5.0]
    for name, selection in {
        "best": select(script, keep="best"),
        "ends": select([0.0, 1.0, 7.0, 0.0, 0.0], patience=1),
        "last": select(script, patience=100),
    }.items():
        result = simssl("run", small(**VICREG, selection=selection), "--plugin", scripted, "--runs", name)
        assert result.exit_code == 0, result.stderr
    best, last = the_run(tmp_path / "best"), the_run(tmp_path / "last")
    assert [moment.step for moment in read_history(RunFolder(best))] == [0, 5, 10, 15, 20, 25, 30]
    at_best = {"every_steps": 10, "evaluators": [{"name": "knn"}]}
    result = simssl("run", small(**VICREG, measure=at_best), "--runs", "plain")
    assert result.exit_code == 0
    measured = read_history(RunFolder(the_run(tmp_path / "plain")))
    final = json.loads((best / "metrics.json").read_text())["metrics"]
    assert final["knn/class/accuracy"] == measured[1].metrics["knn/class/accuracy"]
    assert_same_weights(last, the_run(tmp_path / "plain"))
    assert not torch.equal(*(next(iter(state_of(run)["objective"].values())) for run in (best, last)))


@pytest.mark.parametrize(
    ("selection", "sentence"),
    [
        (
            {"evaluator": {"name": "scripted"}, "metric": "numbr"},
            "selection.metric is 'numbr', and by scripted a run can select by these alone: number",
        ),
        (
            {"evaluator": {"name": "scripted"}, "metric": "test_alone"},
            "selection.metric is 'test_alone', and by scripted a run can select by these alone: number",
        ),
        (
            {"evaluator": {"name": "uncertainty"}, "metric": "a"},
            "selection.evaluator: uncertainty cannot measure this run: vicreg has no variance",
        ),
        (
            {"evaluator": {"name": "collapse"}, "metric": "spectrum/alpha_req"},
            "selection.metric is 'spectrum/alpha_req', which collapse does not measure here: it is fitted to",
        ),
    ],
)
def test_what_cannot_select_is_said_before_the_first_step(
    selection: dict[str, Any], sentence: str, simssl: Simssl, small: Write, scripted: Path, tmp_path: Path
) -> None:
    selection = {"every_steps": 10, "keep": "best", **selection}
    result = simssl("run", small(**VICREG, selection=selection), "--plugin", scripted)
    assert result.exit_code != 0
    assert sentence in " ".join(result.stderr.split())
    assert not list((tmp_path / "runs").rglob("checkpoint.pt"))


def test_what_does_not_apply_is_said_and_the_rest_is_measured(simssl: Simssl, small: Write, tmp_path: Path) -> None:
    """A method that is not trained is not measured while it trains, and nothing is missing of it later."""
    evaluators = [{"name": "knn"}, {"name": "uncertainty"}]
    measure = {"points": 2, "evaluators": evaluators}
    grid = {"objective": [{"name": "vicreg"}, {"name": "random"}]}
    result = simssl("run", small(training=TRAINING, measure=measure, grid=grid))
    assert result.exit_code == 0, result.stderr
    assert "uncertainty will be skipped while it trains: vicreg has no variance" in result.stderr
    (history,) = (tmp_path / "runs").rglob("history.jsonl")
    moments = read_history(RunFolder(history.parent))
    assert [moment.step for moment in moments] == [0, 1, 30]
    assert moments[0].metrics["uncertainty"]["skipped"] == "vicreg has no variance"
    again = simssl("run", small(training=TRAINING, measure=measure, grid=grid))
    assert again.stderr.count("is done already") == 2
    assert "was not measured" not in again.stderr


def test_data_of_an_evaluator_that_is_skipped_need_not_be_there(simssl: Simssl, small: Write, tmp_path: Path) -> None:
    """They are not looked for: neither before the training nor while it lasts."""
    evaluators = [{"name": "knn"}, {"name": "uncertainty", "dataset": {"name": "image_folder", "path": "nowhere"}}]
    result = simssl("run", small(**VICREG, measure={"every_steps": 30, "evaluators": evaluators}))
    assert result.exit_code == 0, result.stderr
    (history,) = (tmp_path / "runs").rglob("history.jsonl")
    moments = read_history(RunFolder(history.parent))
    assert [moment.metrics["uncertainty"]["skipped"] for moment in moments] == 2 * ["vicreg has no variance"]


def test_the_status_says_that_it_is_measured(simssl: Simssl, small: Write, tmp_path: Path) -> None:
    simssl("run", small(training=TRAINING))
    run = the_run(tmp_path / "runs")
    (run / "metrics.json").unlink()
    folder = RunFolder(run)
    with folder.locked():
        write_progress(folder, progress_now("running", step=10, steps=30, measuring=True))
        assert "step 10 of 30, measuring" in " ".join(simssl("status", run).stdout.split())
        write_progress(folder, progress_now("running", step=10, steps=30))
        assert "measuring" not in simssl("status", run).stdout


def test_a_run_that_is_trained_already_says_that_it_was_not_measured(simssl: Simssl, small: Write) -> None:
    """Whether it is done, or has an evaluator to come."""
    simssl("run", small(training=TRAINING, evaluators=[]))
    for evaluators in ([], [{"name": "knn"}]):
        result = simssl("run", small(training=TRAINING, evaluators=evaluators, measure=MEASURE))
        assert result.exit_code == 0, result.stderr
        assert "is trained already, and was not measured meanwhile; --fresh trains it anew" in result.stderr
    assert "was not measured" not in simssl("run", small(training=TRAINING), "--fresh").stderr


def test_what_measured_it_meanwhile_need_not_be_there_later(
    simssl: Simssl, small: Write, scripted: Path, tmp_path: Path
) -> None:
    """Neither for a measurement nor for the model, though the evaluator's plugin is gone."""
    measure = {"every_steps": 15, "evaluators": [{"name": "scripted"}]}
    selection = select([1.0, 2.0], keep="best")
    selection["evaluator"] = {"name": "scripted"}
    for name, changes in {"measured": {"measure": measure}, "selected": {"selection": selection}}.items():
        result = simssl("run", small(training=TRAINING, **changes), "--plugin", scripted, "--runs", name)
        assert result.exit_code == 0, result.stderr
    scripted.unlink()
    run = the_run(tmp_path / "measured")
    result = simssl("evaluate", run, "-e", "linear_probe")
    assert result.exit_code == 0, result.stderr
    for folder in (run, the_run(tmp_path / "selected")):
        assert load(folder).encode(torch.zeros(2, 1, 8, 8)).mean.shape == (2, 4)


def test_a_run_under_way_is_on_the_page(simssl: Simssl, small: Write, tmp_path: Path) -> None:
    """Beside one that is finished: content and style as they come."""
    file = small(**VICREG, measure={"every_steps": 10, "evaluators": [{"name": "knn"}]}, grid={"seed": [0, 1]})
    simssl("run", file)
    run = next((tmp_path / "runs" / "small").glob("vicreg-seed1-*"))
    (run / "metrics.json").unlink()
    lines = (run / "history.jsonl").read_text().splitlines(keepends=True)
    (run / "history.jsonl").write_text("".join(lines[:2]))
    result = simssl("report", file, "--html", "page.html")
    assert result.exit_code == 0, result.stderr
    source = Path("page.html").read_text()
    assert "knn/class/accuracy over the views that were shown" in source
    plot = source.split('aria-label="knn/class/accuracy over')[1].split("</svg>")[0]
    errors = [re.findall(r'y[12]="([\d.]+)"', element) for element in plot.split("<line")[1:] if "error" in element]
    assert [low != high for low, high in errors] == [True, True, False, False], "one seed has come half way"
