"""What `simssl status` says of runs: waiting, running, stopped, failed, done. And one run alone, by its number."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from simssl.experiment.config import load_experiments
from simssl.experiment.outline import outlines
from simssl.launch.status.text import as_text
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.store.progress import Progress, progress_now, read_progress, write_progress

Command = Callable[..., Result]
Write = Callable[..., Path]

ROOT = Path(__file__).parents[2]
SEEDS = {"seed": [0, 1]}
QUICK = {"training": {"views": 180, "batch_views": 60, "log_every": 1}}

PLUGIN = """
import os
import signal

import simssl
from simssl.api import Tracker


class Ender(Tracker):
    class Params(simssl.Params):
        at: int
        "The step at which a signal comes."

    def logged(self, step, terms):
        if step == self.params.at:
            os.kill(os.getpid(), signal.SIGTERM)


@simssl.hookimpl
def simssl_tracker():
    return Ender
"""


def states(simssl: Command, *words: object) -> list[dict[str, Any]]:
    result = simssl("status", *words, "--json")
    assert result.exit_code == 0, result.stderr
    return list(json.loads(result.stdout))


def one(simssl: Command, *words: object) -> dict[str, Any]:
    (run,) = states(simssl, *words)
    return run


def folder_of(file: Path) -> RunFolder:
    (run,) = outlines(file, Registry())
    folder = RunFolder(Path("runs") / run.folder)
    folder.create()
    return folder


def test_a_run_alone_by_its_number(simssl: Command, small: Write) -> None:
    file = small(grid=SEEDS, **QUICK)
    assert [run["state"] for run in states(simssl, file)] == ["waiting", "waiting"]
    result = simssl("run", file, "--only", 2)
    assert result.exit_code == 0, result.stderr
    assert "[2/2] simvae, seed 1:" in result.stderr
    first, second = states(simssl, file)
    assert (first["number"], first["state"], first["seed"]) == (1, "waiting", 0)
    assert (second["number"], second["state"], second["seed"], second["objective"]) == (2, "done", 1, "simvae")
    assert (second["step"], second["steps"], second["host"]) == (3, 3, socket.gethostname())
    result = simssl("status", file)
    assert "2 runs: 1 done, 1 waiting" in result.stdout
    assert "torch" not in result.stdout


@pytest.mark.parametrize("words", [("run",), ("run", "--cluster", "local")])
def test_a_number_that_is_none_of_the_file(words: tuple[str, ...], simssl: Command, small: Write) -> None:
    name, *others = words
    result = simssl(name, small(grid=SEEDS), "--only", 3, *others)
    assert result.exit_code == 2
    (sentence,) = result.stderr.splitlines()
    assert "--only 3" in sentence
    assert "has 2 runs" in sentence
    assert not Path("runs").exists()


def test_what_is_asked_for_besides_makes_a_run_wait_again(simssl: Command, small: Write) -> None:
    file = small(**QUICK)
    assert simssl("run", file).exit_code == 0
    for words in ((file,), ("runs",)):
        assert one(simssl, *words)["state"] == "done"
    more = small("more.yaml", evaluators=[{"name": "knn"}, {"name": "mlp_probe"}], **QUICK)
    assert one(simssl, more)["state"] == "waiting"
    other = small("other.yaml", evaluators=[{"name": "knn", "k": 3}], **QUICK)
    assert one(simssl, other)["state"] == "waiting"
    same = small("same.yaml", evaluators=[{"name": "knn", "k": list(range(1, 21))}], **QUICK)
    assert one(simssl, same)["state"] == "done"
    assert simssl("evaluate", folder_of(file).path, "-e", "{name: knn, k: 3}").exit_code == 0
    assert [one(simssl, path)["state"] for path in (file, other)] == ["waiting", "done"]


def test_a_run_of_an_older_simssl_has_no_record(simssl: Command, small: Write) -> None:
    file = small(**QUICK)
    assert simssl("run", file).exit_code == 0
    folder = folder_of(file)
    folder.progress.unlink()
    assert one(simssl, file)["state"] == one(simssl, "runs")["state"] == "done"
    folder.metrics.unlink()
    assert one(simssl, file)["state"] == one(simssl, "runs")["state"] == "stopped"


def test_a_failed_run_says_why_until_it_is_done(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = small(**QUICK)
    folder = folder_of(file)
    folder.checkpoint.write_bytes(b"no checkpoint")
    result = simssl("run", file)
    assert result.exit_code == 1
    run = one(simssl, file)
    assert run["state"] == "failed"
    assert f"{folder.checkpoint} is damaged" in run["message"]
    assert run["message"] in result.stderr
    monkeypatch.setattr("simssl.cli._width", lambda: 80)
    lines = simssl("status", file).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "is damaged" in " ".join(" ".join(lines).split())
    folder.checkpoint.unlink()
    assert simssl("run", file).exit_code == 0
    assert one(simssl, file)["message"] == ""
    assert one(simssl, file)["state"] == "done"


def test_a_run_alone_that_cannot_begin_says_so(simssl: Command, small: Write) -> None:
    """As a task of a cluster it has nobody else to tell."""
    file = small(dataset={"name": "mnist"}, grid=SEEDS, **QUICK)
    Path("data").write_text("no folder")
    result = simssl("run", file, "--only", 1)
    assert result.exit_code in (1, 2)
    first, second = states(simssl, file)
    assert (first["state"], second["state"]) == ("failed", "waiting")
    assert first["message"] in result.stderr


def test_a_signal_stops_a_run(simssl: Command, small: Write) -> None:
    Path("ender.py").write_text(PLUGIN)
    file = small(trackers=[{"name": "ender", "at": 2}], **QUICK)
    assert simssl("run", file, "--plugin", "ender.py").exit_code == 143
    run = one(simssl, file)
    assert (run["state"], run["step"], run["steps"]) == ("stopped", 2, 3)
    assert "stopped   step 2 of 3" in simssl("status", "runs").stdout


def record(folder: RunFolder, **values: Any) -> Progress:
    progress = progress_now("running", **{"step": 5, "steps": 20, **values})
    write_progress(folder, progress)
    return progress


def test_a_run_that_is_worked_on(simssl: Command, small: Write) -> None:
    folder = folder_of(small())
    now = time.time()
    with folder.locked():
        record(folder, since=now - 60, ends=now + 60)
        run = one(simssl, small())
        assert (run["state"], run["host"], run["step"], run["steps"]) == ("running", socket.gethostname(), 5, 20)
        assert run["since"] < run["ends"]
        shown = simssl("status", small()).stdout
        assert f"running   on {socket.gethostname()} since " in shown
        assert "step 5 of 20, ends " in shown
        folder.progress.unlink()  # such as by an older simssl
        run = one(simssl, small())
        assert (run["state"], run["host"]) == ("running", socket.gethostname())
        assert run["since"]
    record(folder)
    assert one(simssl, small())["state"] == "stopped"  # its process was killed


def test_a_run_of_another_machine_whose_lock_is_not_seen(simssl: Command, small: Write) -> None:
    folder = folder_of(small())
    record(folder, host="elsewhere")
    run = one(simssl, small())
    assert (run["state"], run["host"]) == ("running", "elsewhere")
    long_ago = time.time() - 3600
    os.utime(folder.progress, (long_ago, long_ago))
    assert one(simssl, small())["state"] == "stopped"


def test_who_looks_keeps_nobody_from_a_run(small: Write, tmp_path: Path) -> None:
    """A look holds the lock for some microseconds, and here for longer than that."""
    import fcntl
    import threading

    folder = RunFolder(tmp_path / "run")
    folder.create()
    with (folder.path / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.01, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with folder.locked():
            pass


def test_the_names_of_runs_are_known_without_plugins() -> None:
    for file in sorted((ROOT / "experiments").glob("*.yaml")):
        named = [run.folder for run in outlines(file, Registry())]
        assert named == [experiment.folder for experiment in load_experiments(file, Registry())], file


def test_runs_are_not_there(simssl: Command, tmp_path: Path) -> None:
    for path, sentence in ((tmp_path, "no run was found"), ("nowhere.yaml", "cannot be read")):
        result = simssl("status", path)
        assert result.exit_code == 2
        assert sentence in result.stderr
    Path("wrong.yaml").write_text("objective: {name: simvea}\nlatent_dim: x\n")
    assert simssl("status", "wrong.yaml").exit_code == 2


@pytest.mark.parametrize("width", [20, 80])
def test_many_words_go_on_below(width: int, simssl: Command, small: Write) -> None:
    folder = folder_of(small())
    sentence = "a loss is not finite, and more than that, which is told in many words that no line holds"
    write_progress(folder, progress_now("failed", message=sentence))
    from simssl.launch.status.status import status

    text = as_text(status([Path("runs")], Path("runs"), Registry()), width)
    assert sentence in " ".join(text.split())
    assert width == 20 or max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("content", ["", "[", "{}", '{"state": "running"}', "[" * 100_000, "\ud800", "5" * 2_000_000])
def test_a_damaged_record_is_none(content: str, simssl: Command, small: Write) -> None:
    file = small()
    folder = folder_of(file)
    folder.progress.write_bytes(content.encode(errors="surrogatepass"))
    run = one(simssl, file)
    assert run["state"] == "waiting"
    assert "progress.json" in run["message"]


def test_a_damaged_record_is_written_anew(simssl: Command, small: Write) -> None:
    file = small(**QUICK)
    folder = folder_of(file)
    folder.progress.write_text("[")
    assert simssl("run", file).exit_code == 0
    progress = read_progress(folder)
    assert progress
    assert progress.state == "done"
