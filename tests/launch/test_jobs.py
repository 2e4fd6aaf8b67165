"""Runs side by side have the numbers of one job, whoever fails or is killed on the way."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import Result

from simssl.launch import jobs as jobs_module

Command = Callable[..., Result]
Write = Callable[..., Path]

PLUGIN = """
    import os
    import signal
    import time

    import simssl
    from simssl.api import Objective, Posterior, Terms, Tracker


    class Saboteur(Objective):
        '''Raises, or is killed, at its third step.'''

        views = ("random",)

        class Params(simssl.Params):
            signum: int = 0
            "The signal; 0 to raise."

        def __init__(self, params, context):
            super().__init__(params, context)
            self.encoder = context.encoder(context.latent_dim)
            self.steps = 0

        def forward(self, x_BJCHW, index_B, generator):
            self.steps += 1
            print(f"\\rstep {self.steps} of 3", end="\\n" * (self.steps == 3), flush=True)
            if self.steps == 3 and self.params.signum:
                os.kill(os.getpid(), self.params.signum)
            if self.steps == 3:
                raise RuntimeError("it broke")
            return Terms({"loss_term": self.encoder(x_BJCHW[:, 0]).square().mean()})

        def posterior(self, x_BCHW):
            return Posterior(self.encoder(x_BCHW))


    class Stopper(Tracker):
        '''Sends a signal, from the first run, to the command that the user gave, or to all of its processes.'''

        class Params(simssl.Params):
            step: int = 40
            "At the record of this step."
            signum: int = 15
            "The signal."
            to_all: bool = False
            "To all of its processes."

        def started(self, run):
            self.seed = run.seed

        def logged(self, step, terms):
            if step == self.params.step and self.seed == 0:
                to, send = (os.getpgrp(), os.killpg) if self.params.to_all else (os.getppid(), os.kill)
                send(to, self.params.signum)
                for _ in range(1000):  # until it has arrived here
                    time.sleep(0.01)


    @simssl.hookimpl
    def simssl_objective():
        return Saboteur


    @simssl.hookimpl
    def simssl_tracker():
        return Stopper
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    import textwrap

    file = tmp_path / "saboteur.py"
    file.write_text(textwrap.dedent(PLUGIN))
    return file


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads that this process, and so one job, has."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def runs_in(folder: Path | str) -> dict[str, Path]:
    return {path.parent.name: path.parent for path in Path(folder).rglob("experiment.yaml")}


def assert_same_runs(folder: Path | str, expected: Path | str) -> None:
    ours, reference = runs_in(folder), runs_in(expected)
    assert ours.keys() == reference.keys()
    for name, run in reference.items():
        assert (ours[name] / "metrics.json").read_bytes() == (run / "metrics.json").read_bytes()
        one, other = (torch.load(path / "checkpoint.pt", weights_only=True) for path in (ours[name], run))
        assert one["threads"] == other["threads"] == 1
        assert all(torch.equal(one["objective"][key], value) for key, value in other["objective"].items())


def test_two_jobs_give_the_numbers_of_one(simssl: Command, small: Write, threads: Callable[[int], None]) -> None:
    file = small(grid={"objective": [{"name": "simvae", "J": 3}, {"name": "vae"}, {"name": "random"}]})
    file.write_text(file.read_text().replace("trackers: []", "trackers: [{name: console}]"))
    threads(1)
    one = simssl("run", file, "--runs", "one")
    threads(2)
    two = simssl("run", file, "--runs", "two", "--jobs", 2)
    assert two.exit_code == one.exit_code == 0, two.stderr
    assert two.stdout == one.stdout
    assert_same_runs("two", "one")
    lines = two.stderr.splitlines()
    assert lines[0] == "2 runs at a time, with 1 thread each"
    assert all(line.startswith(("[1/3] simvae, seed 0: ", "[2/3] vae, ", "[3/3] random, ")) for line in lines[1:])
    assert sum(": trained in " in line for line in lines) == 2
    again = simssl("run", file, "--runs", "two", "-j", 2)
    assert again.exit_code == 0
    assert again.stderr.count("is done already") == 3
    assert again.stdout == one.stdout


def test_one_that_fails_and_one_that_is_killed_do_not_stop_the_others(
    simssl: Command, small: Write, plugin: Path
) -> None:
    saboteurs = [{"name": "saboteur"}, {"name": "saboteur", "signum": int(signal.SIGKILL)}]
    file = small(grid={"objective": [*saboteurs, {"name": "random"}]})
    result = simssl("--debug", "run", file, "--plugin", plugin, "-j", 2)
    assert result.exit_code == 1
    assert "[1/3] saboteur, seed 0: step 3 of 3" in result.stderr
    assert "step 2 of 3" not in result.stderr
    assert "[1/3] saboteur, seed 0: failed: RuntimeError: it broke" in result.stderr
    assert f'File "{plugin}", line' in result.stderr
    assert "[2/3] saboteur, seed 0: failed: its process was ended by signal 9 (Killed" in result.stderr
    told = [run["message"] for run in json.loads(simssl("status", file, "--json", "--plugin", plugin).stdout)]
    assert "it broke" in told[0]
    assert told[1].startswith("its process was ended by signal 9 (Killed")
    assert result.stderr.splitlines()[-1].startswith("failed: saboteur-seed0-")
    assert "random" in result.stdout


LONG = {"views": 4800, "batch_views": 60, "log_every": 5, "checkpoint_seconds": 3600}
"""80 steps of 20 images."""

SEEDS = {"seed": [0, 1]}


@pytest.fixture
def whole(simssl: Command, small: Write, threads: Callable[[int], None]) -> Path:
    """The runs that nothing has interrupted."""
    threads(1)
    assert simssl("run", small(training=LONG, grid=SEEDS), "--runs", "whole").exit_code == 0
    return Path("whole")


def start(file: Path, plugin: Path) -> tuple[int, str]:
    """`simssl run -j 2` in processes of its own; exit code and standard error."""
    command = [sys.executable, "-m", "simssl", "run", str(file), "--plugin", str(plugin), "-j", "2", "--runs", "parts"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        command, env=environment, stderr=subprocess.PIPE, text=True, timeout=120, start_new_session=True, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("signum", "to_all", "code"), [(signal.SIGINT, True, 130), (signal.SIGTERM, False, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_saves_what_is_under_way(
    signum: signal.Signals, to_all: bool, code: int, whole: Path, simssl: Command, small: Write, plugin: Path
) -> None:
    """As Ctrl-C, which all processes are sent, and as a batch system, which sends it to the first."""
    stopper = [{"name": "saboteur", "signum": int(signum), "to_all": to_all}]
    returned, error = start(small(training=LONG, grid=SEEDS, trackers=stopper), plugin)
    assert returned == code, error
    assert "is saved after step 40; the same command" in error
    assert error.splitlines()[-1].startswith("interrupted: what was finished is saved; the same command")
    assert "Traceback" not in error
    assert simssl("run", small(training=LONG, grid=SEEDS), "--runs", "parts").exit_code == 0
    assert_same_runs("parts", whole)


def test_when_the_command_is_killed_its_workers_save_and_end(
    whole: Path, simssl: Command, small: Write, plugin: Path
) -> None:
    stopper = [{"name": "saboteur", "signum": int(signal.SIGKILL)}]
    assert start(small(training=LONG, grid=SEEDS, trackers=stopper), plugin)[0] == -signal.SIGKILL
    for lock in Path("parts").rglob(".lock"):
        with lock.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as soon as its worker has ended
    states = [torch.load(path, weights_only=True) for path in Path("parts").rglob("checkpoint.pt")]
    assert 40 in [state["step"] for state in states]
    assert simssl("run", small(training=LONG, grid=SEEDS), "--runs", "parts").exit_code == 0
    assert_same_runs("parts", whole)


def test_a_run_keeps_the_threads_that_it_began_with(
    simssl: Command, small: Write, threads: Callable[[int], None]
) -> None:
    threads(2)
    assert simssl("run", small(grid=SEEDS), "--seed", 0).exit_code == 0
    more = small(grid=SEEDS, evaluators=[{"name": "knn"}, {"name": "collapse"}])
    result = simssl("run", more, "-j", 2)
    assert result.exit_code == 0, result.stderr
    assert "[1/2] simvae, seed 0: computes with 2 threads, as it began, and not with 1" in result.stderr
    parts = [json.loads((run / "environment.json").read_text()) for _, run in sorted(runs_in("runs").items())]
    assert [part["measurement"]["threads"] for part in parts] == [2, 1]


LOUD = """
import logging, warnings
import simssl
from simssl.api import Tracker

class Loud(Tracker):
    '''It warns, logs and breaks.'''

    def logged(self, step, terms):
        warnings.warn("the learning rate is large")
        logging.getLogger("simssl").warning("a word")
        raise ValueError("no connection")

@simssl.hookimpl
def simssl_tracker():
    return Loud
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_sentence_is_told_once_from_however_many_runs(jobs: int, simssl: Command, small: Write) -> None:
    Path("loud.py").write_text(LOUD)
    file = small(grid=SEEDS, trackers=[{"name": "loud"}], evaluators=[])
    result = simssl("run", file, "--plugin", "loud.py", "-j", jobs)
    assert result.exit_code == 0, result.stderr
    for sentence in (
        "UserWarning: the learning rate is large (",
        "a word",
        "the tracker 'loud' failed and is detached",
    ):
        assert result.stderr.count(sentence) == 1, sentence


def test_one_run_is_one_job(simssl: Command, small: Write) -> None:
    result = simssl("run", small(), "-j", 3)
    assert result.exit_code == 0
    assert "at a time" not in result.stderr
    assert "[1/1] simvae, seed 0: " in result.stderr


def test_there_is_at_least_one_job(simssl: Command, small: Write) -> None:
    result = simssl("run", small(), "--jobs", 0)
    assert result.exit_code == 2
    assert "'-j' / '--jobs'" in result.stderr


def test_a_worker_that_has_just_died_stays_until_its_outcome_is_read() -> None:
    """It may die between two looks at it; a run that was forgotten then would never be told of."""
    dying = SimpleNamespace(busy=True, alive=False)
    team = [dying]
    assert jobs_module._free(team, 1, None, (), print) is None
    assert team == [dying]
    dying.busy = False
    started = SimpleNamespace(busy=False, alive=True)
    team.append(started)
    assert jobs_module._free(team, 2, None, (), print) is started
    assert team == [started]
