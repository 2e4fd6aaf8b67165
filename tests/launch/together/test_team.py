"""Several processes train one run as one process would, say what happens once, and leave nobody waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from processes import Process
from teams import ended, started, weights

Write = Callable[..., Path]
TRAINING = {"views": 1280, "batch_views": 32, "log_every": 5, "checkpoint_seconds": 0}


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_processes_train_the_run_of_one(small: Write, tmp_path: Path) -> None:
    """Weights within rounding, the same features and numbers; process 0 alone writes and speaks."""
    file = small(training=TRAINING, evaluators=[{"name": "knn"}, {"name": "collapse"}])
    alone, said_alone = Process(tmp_path, "run", file, "--runs", "one").finish()
    codes, said = ended(started(tmp_path, "run", file, "--runs", "two"))
    assert (alone, codes) == (0, [0, 0]), said_alone + "".join(said)
    assert said[1] == ""
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name, value in one.items():
        assert torch.allclose(value, two[name], rtol=1e-3, atol=1e-5), name
    (record,) = (tmp_path / "two").rglob("environment.json")
    assert json.loads(record.read_text())["training"]["processes"] == 2
    (metrics,) = (tmp_path / "two").rglob("metrics.json")
    assert json.loads(metrics.read_text())["metrics"].keys()
    codes, said = ended(started(tmp_path, "run", file, "--runs", "two"))
    assert codes == [0, 0]
    assert "is done already" in said[0]


OBJECTIVE = """
import os
import torch
import simssl
from simssl.api import EncoderObjective, Objective, Terms
from simssl.blocks.distributed import rank

# {remark}
class Own(EncoderObjective):
    views = ("random",)

    steps = 0

    def forward(self, x_BJCHW, index_B, generator):
        self.steps += 1
        if self.steps == 17 and "SIGNAL" in os.environ:
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        z_BD = {representation}
        {guard}
        return Terms({{"size": z_BD.square().mean()}})

@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return Own
"""


def objective(
    file: Path, representation: str = "self.encoder(x_BJCHW[:, 0])", guard: str = "", remark: str = ""
) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(OBJECTIVE.format(representation=representation, guard=guard, remark=remark))
    return file


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_others_and_the_same_command_goes_on(
    small: Write, tmp_path: Path, victim: int
) -> None:
    """Bit-equal to a run that was never killed; nothing is saved after the loss."""
    words = ("run", small(training=TRAINING, objective={"name": "own"}), "--plugin", objective(tmp_path / "own.py"))
    codes, said = ended(started(tmp_path, *words, "--runs", "whole"))
    assert codes == [0, 0], said
    began = time.monotonic()
    codes, said = ended(started(tmp_path, *words, "--runs", "killed", signals={victim: signal.SIGKILL}))
    assert time.monotonic() - began < 30
    assert codes[victim] == -signal.SIGKILL
    assert codes[1 - victim] == 1
    told = said[1 - victim].strip().splitlines()[-1]
    assert told.startswith(f"process {victim} of 2 (")
    assert "has ended without a word (killed, or out of memory)" in told
    assert "the same command goes on from the last checkpoint" in told
    codes, said = ended(started(tmp_path, *words, "--runs", "killed"))
    assert codes == [0, 0], said
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(value, killed[name]) for name, value in whole.items())


def test_a_signal_to_one_stops_all_after_the_same_step_and_one_process_can_go_on(small: Write, tmp_path: Path) -> None:
    words = ("run", small(training=TRAINING, objective={"name": "own"}), "--plugin", objective(tmp_path / "own.py"))
    code, said_alone = Process(tmp_path, *words, "--runs", "whole").finish()
    assert code == 0, said_alone
    codes, said = ended(started(tmp_path, *words, "--runs", "stopped", signals={1: signal.SIGTERM}))
    assert codes == [128 + signal.SIGTERM] * 2, said
    assert "is saved after step" in said[0]
    assert said[1] == ""
    code, said_alone = Process(tmp_path, *words, "--runs", "stopped").finish()
    assert code == 0, said_alone
    whole, stopped = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    for name, value in whole.items():
        assert torch.allclose(value, stopped[name], rtol=1e-3, atol=1e-5), name


def test_an_error_of_one_process_is_told_once_with_its_name(small: Write, tmp_path: Path) -> None:
    own = objective(tmp_path / "own.py", guard="if rank() == 1: raise KeyError('mine')")
    codes, said = ended(started(tmp_path, "run", small(training=TRAINING, objective={"name": "own"}), "--plugin", own))
    assert codes == [1, 1]
    assert said[1] == ""
    told = said[0].strip().splitlines()[-1]
    assert told.startswith("process 1 of 2 (")
    assert "has ended: KeyError: 'mine' (own.py:" in told.replace(f"{tmp_path}/", "")


def test_an_error_of_all_is_told_once_and_the_other_runs_go_on(small: Write, tmp_path: Path) -> None:
    own = objective(tmp_path / "own.py", representation="self.encoder(x_BJCHW[:, 0]) / 0")
    file = small(training=TRAINING, grid={"objective": [{"name": "own"}, {"name": "vae"}]})
    codes, said = ended(started(tmp_path, "run", file, "--plugin", own))
    assert codes == [1, 1]
    assert said[1] == ""
    assert said[0].count("the loss term 'size' is not finite at step 1") == 2, "when it happens, and at the end"
    (trained,) = (tmp_path / "runs").rglob("checkpoint.pt")
    assert trained.parent.name.startswith("vae")


def test_networks_that_draw_by_themselves_are_refused(small: Write, tmp_path: Path) -> None:
    own = objective(tmp_path / "own.py", representation="torch.nn.functional.dropout(self.encoder(x_BJCHW[:, 0]), 0.5)")
    codes, said = ended(started(tmp_path, "run", small(training=TRAINING, objective={"name": "own"}), "--plugin", own))
    assert codes == [1, 1]
    assert "draw random numbers by themselves (dropout, drop-path, stochastic depth)" in said[0]


def test_other_code_on_a_process_is_found_before_it_trains(small: Write, tmp_path: Path) -> None:
    files = [objective(tmp_path / str(rank) / "own.py", remark=f"of {rank}") for rank in range(2)]
    file = small(training=TRAINING, objective={"name": "own"})
    codes, said = ended(started(tmp_path, "run", file, each=lambda rank: ("--plugin", files[rank])))
    assert codes == [1, 1]
    assert "has for objective own: " in said[0]
    assert "a run needs the same on all of its processes" in said[0]


@pytest.mark.parametrize(
    ("training", "words", "sentence"),
    [
        ({**TRAINING, "batch_views": 30}, (), "the 15 images of a step do not divide among 2 processes; set "),
        (TRAINING, ("--jobs", "2"), "several processes train one run at a time; leave out --jobs"),
        ({**TRAINING, "batch_views": "many"}, (), "training.batch_views"),
    ],
)
def test_what_cannot_work_is_said_once(
    small: Write, tmp_path: Path, training: dict[str, object], words: tuple[str, ...], sentence: str
) -> None:
    file = small(training=training, objective={"name": "simclr"})
    codes, said = ended(started(tmp_path, "run", file, *words))
    assert codes[0] == 2
    assert codes[1] != 0
    assert sentence in said[0]


def test_other_commands_work_in_one_process(simssl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    result = simssl("plugins")
    assert result.exit_code == 2
    assert result.stderr == "`simssl plugins` works in one process; start it without torchrun\n"


def test_an_error_of_process_0_is_told_once_and_status_knows_it(small: Write, tmp_path: Path) -> None:
    """Whoever waits for process 0 hears of its end, though it holds the store through which they know each other."""
    own = objective(tmp_path / "own.py", guard="if rank() == 0: raise KeyError('mine')")
    codes, said = ended(started(tmp_path, "run", small(training=TRAINING, objective={"name": "own"}), "--plugin", own))
    assert codes == [1, 1]
    assert said[1] == ""
    assert "KeyError: 'mine' (" in said[0].strip().splitlines()[-1]
    (progress,) = (tmp_path / "runs").rglob("progress.json")
    record = json.loads(progress.read_text())
    assert record["state"] == "failed"
    assert "KeyError: 'mine'" in record["message"]


EVALUATOR = """
import time
from pathlib import Path
import simssl
from simssl.api import Evaluator, Result

class Own(Evaluator):
    \"\"\"One that ends otherwise.\"\"\"

    def check(self, data):
        {check}

    def run(self, subject):
        {run}

@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Own
"""


def evaluator(file: Path, check: str = "pass", run: str = "return Result({})") -> Path:
    file.write_text(EVALUATOR.format(check=check, run=run))
    return file


def test_an_evaluator_that_fails_ends_its_run_and_not_the_grid(small: Write, tmp_path: Path) -> None:
    own = evaluator(tmp_path / "own.py", run="raise KeyError('mine')")
    grid = {"objective": [{"name": "vae"}, {"name": "simclr"}]}
    file = small(training=TRAINING, grid=grid, evaluators=[{"name": "own"}])
    codes, said = ended(started(tmp_path, "run", file, "--plugin", own))
    assert codes == [1, 1]
    assert said[1] == ""
    assert said[0].count("evaluator 'own' failed: KeyError: 'mine'") == 4, "when it happens, and at the end"
    assert len(list((tmp_path / "runs").rglob("checkpoint.pt"))) == 2


def test_an_evaluator_that_does_not_fit_is_refused_before_anything_is_trained(small: Write, tmp_path: Path) -> None:
    own = evaluator(tmp_path / "own.py", check="raise ValueError('not this data')")
    file = small(training=TRAINING, evaluators=[{"name": "own"}])
    codes, said = ended(started(tmp_path, "run", file, "--plugin", own))
    assert codes == [2, 2]
    assert said == ["evaluator 'own': not this data\n", ""]
    assert not list(tmp_path.rglob("checkpoint.pt"))


def test_a_process_that_dies_while_process_0_measures_is_named(small: Write, tmp_path: Path) -> None:
    """torchrun then sends SIGTERM to the one that is left."""
    begun = tmp_path / "begun"
    own = evaluator(tmp_path / "own.py", run=f"Path({str(begun)!r}).touch(); time.sleep(60)")
    processes = started(tmp_path, "run", small(training=TRAINING, evaluators=[{"name": "own"}]), "--plugin", own)
    until(begun.exists)
    os.kill(processes[1].pid, signal.SIGKILL)
    os.kill(processes[0].pid, signal.SIGTERM)
    codes, said = ended(processes)
    assert codes == [1, -signal.SIGKILL]
    assert said[0].strip().splitlines()[-1].startswith("process 1 of 2 (")


def test_processes_with_other_files_are_told_so(small: Write, tmp_path: Path) -> None:
    grid = {"objective": [{"name": "vae"}, {"name": "simclr"}]}
    files = (small(training=TRAINING), small("other.yaml", training=TRAINING, grid=grid))
    codes, said = ended(started(tmp_path, "run", each=lambda rank: (files[rank],)))
    assert codes == [1, 1]
    assert "has for the experiment: 2 of 2 runs, digest " in said[0]


@pytest.mark.slow
def test_torchrun_starts_a_killed_run_again_and_it_goes_on(small: Write, tmp_path: Path) -> None:
    """torchrun keeps one store: what the processes before have left there does not mislead those after them."""
    file = small(training={**TRAINING, "views": 64_000})
    words = ["-m", "torch.distributed.run", "--standalone", "--max-restarts", "1", "--nproc-per-node", "2"]
    words += ["-m", "simssl", "run", str(file), "--runs", "runs"]
    running = subprocess.Popen([sys.executable, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    until(lambda: list((tmp_path / "runs").rglob("checkpoint.pt")))
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert said.count("has ended without a word") == 1
    weights(tmp_path / "runs")
