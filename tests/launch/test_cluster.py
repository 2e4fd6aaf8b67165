"""Runs as tasks of a cluster: submitit's executor on this machine, and Slurm as far as its commands are asked."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from simssl.launch.cluster.task import OneRun
from simssl.store.folder import RunFolder
from simssl.store.progress import Job, progress_now, read_progress, write_progress

pytest.importorskip("submitit", reason="there is no submitit: python -m pip install 'simssl[slurm]'")

Command = Callable[..., Result]
Write = Callable[..., Path]

QUICK = {"training": {"views": 180, "batch_views": 60, "log_every": 1, "checkpoint_seconds": 0}}
SEEDS = {"seed": [0, 1, 2]}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of state, and one thread for tasks as for this process."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "simssl"


def states(simssl: Command, *words: object) -> list[dict[str, Any]]:
    return list(json.loads(simssl("status", *words, "--json").stdout))


# --- this machine


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture
def ended(simssl: Command) -> Iterator[None]:
    """Ends what a test that failed has left running."""
    yield
    for record in Path("runs").rglob("progress.json"):
        progress = read_progress(RunFolder(record.parent))
        if progress and progress.state in ("queued", "running") and progress.job:
            for pid in (int(progress.job.number), progress.process):
                with suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


def _wait_for(right: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        result = right()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"waited for {what} in vain")


@pytest.mark.usefixtures("ended")
def test_a_task_that_gets_the_signal_goes_on_and_ends_as_without_a_cluster(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    long = {"training": {"views": 18_000, "batch_views": 60, "log_every": 10, "checkpoint_seconds": 0}}
    file = small(**long)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert simssl("run", file, "--runs", "alone").exit_code == 0
    finally:
        torch.set_num_threads(before)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    result = simssl("run", file, "--cluster", "local")
    assert result.exit_code == 0, result.stderr
    assert "1 run is submitted to local as job" in result.stderr
    (run,) = states(simssl, file)
    assert run["state"] in ("queued", "running")
    folder = RunFolder(Path(run["folder"]))
    again = simssl("run", file, "--cluster", "local")
    assert "submitted" not in again.stderr

    _wait_for(folder.checkpoint.exists, "the training")
    progress = read_progress(folder)
    assert progress
    os.kill(_parent(progress.process), signal.SIGUSR2)
    (stopped,) = _wait_for(lambda: [run for run in states(simssl, file) if run["state"] == "queued"], "the queue")
    assert 0 < stopped["step"] < stopped["steps"]
    (done,) = _wait_for(lambda: [run for run in states(simssl, file) if run["state"] == "done"], "the end")
    assert done["step"] == 300
    (alone,) = Path("alone").rglob("metrics.json")
    assert folder.metrics.read_bytes() == alone.read_bytes()


# --- Slurm's commands

SBATCH = """#!/bin/sh
cp "$1" {folder}/submitted.sh
cp "$1" {folder}/submitted-$(ls {folder} | wc -l).sh
test -e {folder}/refuse && echo "sbatch: error: invalid partition specified: gpus" >&2 && exit 1
echo "Submitted batch job 77"
"""
SQUEUE = """#!/bin/sh
cat {folder}/queue
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with Slurm's commands, which take what is submitted and do nothing. `queue` is what squeue says."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, script in {"sbatch": SBATCH, "squeue": SQUEUE, "srun": "#!/bin/sh\n"}.items():
        (folder / name).write_text(script.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    (folder / "queue").write_text("77_0\n77_1\n77_2\n78\n")
    return folder


def submit(simssl: Command, file: Path, *words: object) -> Result:
    result = simssl("run", file, "--cluster", "slurm", *words)
    assert result.exit_code == 0, result.stderr
    return result


def test_one_array_with_a_task_a_run(simssl: Command, small: Write, slurm: Path, state: Path) -> None:
    file = small(grid=SEEDS, **QUICK)
    options = ("--cluster-option", "partition=gpu", "--cluster-option", "time=30", "--cluster-option", "reservation=us")
    result = submit(simssl, file, *options)
    assert "3 runs are submitted to slurm as job 77" in result.stderr
    script = (slurm / "submitted.sh").read_text()
    for line in ("array=0-2%3", "partition=gpu", "time=30", "reservation=us", "requeue", "job-name=small", "nodes=1"):
        assert f"#SBATCH --{line}\n" in script
    assert "--signal=USR2@90" in script
    assert "gpus" not in script.replace("partition=gpu", "")
    assert str(state) in script
    found = states(simssl, file)
    assert [(run["state"], run["job"]) for run in found] == [("queued", f"slurm 77_{task}") for task in range(3)]
    assert "3 runs: 3 queued" in simssl("status", "runs").stdout


def test_the_command_that_it_names_shows_the_runs(simssl: Command, small: Write, slurm: Path) -> None:
    """With other settings they lie in other folders."""
    file = small(grid=SEEDS, **QUICK)
    result = submit(simssl, file, "-s", "latent_dim=3", "--runs", "my runs")
    (_, told, *_) = result.stderr.splitlines()[-1].split("`")
    program, *words = shlex.split(told)
    assert program == "simssl"
    assert "3 runs: 3 queued" in simssl(*words).stdout


def test_what_is_queued_or_done_is_not_submitted_again(simssl: Command, small: Write, slurm: Path) -> None:
    file = small(grid=SEEDS, **QUICK)
    assert simssl("run", file, "--only", 1).exit_code == 0
    result = submit(simssl, file)
    assert "1 of 3 is done already" in result.stderr
    assert "2 runs are submitted" in result.stderr
    result = submit(simssl, file)
    assert "2 of 3 are queued already" in result.stderr
    assert "submitted" not in result.stderr
    (slurm / "queue").write_text("77_1\n")  # the first task was cancelled
    assert [run["state"] for run in states(simssl, file)] == ["done", "waiting", "queued"]
    assert "1 run is submitted" in submit(simssl, file).stderr
    (slurm / "squeue").write_text("#!/bin/sh\nexit 1\n")
    assert [run["state"] for run in states(simssl, file)] == ["done", "queued", "queued"]
    assert "the queue cannot be asked here" in simssl("status", file).stdout


def test_a_task_that_began_before_it_was_written_down_as_queued(
    simssl: Command, small: Write, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own record stays."""
    from simssl.launch.cluster import submit as module

    file = small(**QUICK)
    note = module._note_queued

    def later(folder: RunFolder, *others: Any) -> None:
        write_progress(folder, progress_now("failed", message="at once", job=Job(cluster="slurm", number="77")))
        note(folder, *others)

    monkeypatch.setattr(module, "_note_queued", later)
    submit(simssl, file)
    (run,) = states(simssl, file)
    assert (run["state"], run["message"]) == ("failed", "at once")


def tasks(state: Path) -> list[OneRun]:
    from submitit.core.utils import DelayedSubmission

    return [DelayedSubmission.load(path).function for path in sorted(state.rglob("*_submitted.pkl"))]


def test_a_task_repeats_the_command(simssl: Command, small: Write, slurm: Path, state: Path, tmp_path: Path) -> None:
    file = small(grid=SEEDS, **QUICK)
    submit(simssl, file, "--only", 2, "-s", "latent_dim=3", "--device", "cpu", "--data", "d", "--nodes", 2)
    (task,) = tasks(state)
    python, *words = task.command
    assert python == sys.executable
    expected = ["-m", "simssl", "run", "FILE", "--only", "2", "--jobs", "1", "--device", "cpu"]
    expected += ["--data", str(tmp_path / "d"), "--runs", str(tmp_path / "runs"), "--set", "latent_dim=3"]
    copy = Path(words[3])
    assert [*words[:3], "FILE", *words[4:]] == expected
    assert copy.read_text() == file.read_text()
    assert state in copy.parents  # what is changed in the file meanwhile does not count
    assert task.several
    script = (slurm / "submitted.sh").read_text()
    assert "--nodes=2" in script


def test_gpus_of_a_run_are_processes_on_its_nodes(simssl: Command, small: Write, slurm: Path, state: Path) -> None:
    submit(simssl, small(**QUICK), "--nodes", 2, "--gpus-per-run", 8)
    script = (slurm / "submitted.sh").read_text()
    for line in ("nodes=2", "gpus-per-node=4", "ntasks-per-node=4"):
        assert f"#SBATCH --{line}\n" in script
    assert all(task.several for task in tasks(state))


def test_fresh_moves_a_run_aside_once(simssl: Command, small: Write, slurm: Path, state: Path) -> None:
    """A task that is queued again goes on."""
    file = small(**QUICK)
    assert simssl("run", file).exit_code == 0
    result = submit(simssl, file, "--fresh")
    assert "the old run is moved to runs/small/.old/" in result.stderr
    assert len(list(Path("runs/small/.old").iterdir())) == 1
    (task,) = tasks(state)
    assert "--fresh" not in task.command
    assert [run["state"] for run in states(simssl, "runs")] == ["queued"] or (slurm / "queue").write_text("77\n")
    assert [run["state"] for run in states(simssl, "runs")] == ["queued"]


def test_several_processes_find_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    for name in names:
        monkeypatch.setenv(name, "")  # so that it is as before when the test ends
        monkeypatch.delenv(name)
    given = {"EXECUTOR": "local", "LOCAL_JOB_ID": "5", "LOCAL_NTASKS": "4", "LOCAL_GLOBALID": "3", "LOCAL_LOCALID": "3"}
    for name, value in given.items():
        monkeypatch.setenv(f"SUBMITIT_{name}", value)
    code = "import json, os, pathlib; pathlib.Path('told.json').write_text(json.dumps(dict(os.environ)))"
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGUSR2)
    try:
        OneRun((sys.executable, "-c", code), tmp_path, "local", several=True)()
    finally:
        signal.signal(signal.SIGUSR2, before)
    told = json.loads(Path("told.json").read_text())
    assert [told[name] for name in names[:4]] == ["3", "4", "3", "4"]
    assert told["MASTER_ADDR"]
    assert 1024 < int(told["MASTER_PORT"]) < 65536
    assert told["SIMSSL_JOB"] == "local 5"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", "its process was ended by signal 9"),
        ("exit(7)", "its process ended with exit code 7"),
        ("exit(1)", ""),  # it has written down itself why
    ],
)
def test_a_run_that_ends_without_a_word(code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    monkeypatch.setenv("SUBMITIT_LOCAL_JOB_ID", "5")
    before = signal.getsignal(signal.SIGUSR2)
    try:
        with pytest.raises(SystemExit):
            OneRun((sys.executable, "-c", code), tmp_path, "local", several=False)()
    finally:
        signal.signal(signal.SIGUSR2, before)
    progress = read_progress(RunFolder(tmp_path))
    assert (progress is None) == (said == "")
    assert progress is None or progress.message.startswith(said)


# --- what is wrong


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--gpus-per-run", 3, "--nodes", 2), "--gpus-per-run 3 does not divide among 2 nodes"),
        (("--cluster-option", "time=1:00"), "a whole number of minutes"),
        (("--cluster-option", "time"), "an override is KEY=VALUE"),
    ],
)
def test_a_request_that_cannot_be(
    words: tuple[object, ...], sentence: str, simssl: Command, small: Write, slurm: Path
) -> None:
    result = simssl("run", small(**QUICK), "--cluster", "slurm", *words)
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    "words", [("--nodes", 2), ("--gpus-per-run", 2), ("--cluster-option", "a=b"), ("--cluster", "slurm", "-j", 2)]
)
def test_options_that_need_one_another(words: tuple[object, ...], simssl: Command, small: Write) -> None:
    result = simssl("run", small(), *words)
    assert result.exit_code == 2
    assert not Path("runs").exists()


def test_slurm_refuses(simssl: Command, small: Write, slurm: Path) -> None:
    (slurm / "refuse").touch()
    file = small(**QUICK)
    result = simssl("run", file, "--cluster", "slurm", "--cluster-option", "partition=gpus")
    assert result.exit_code == 1
    assert "slurm has not taken the runs: sbatch: error: invalid partition specified: gpus" in result.stderr
    assert [run["state"] for run in states(simssl, file)] == ["waiting"]


def test_a_run_that_cannot_work_is_not_submitted(simssl: Command, small: Write, slurm: Path) -> None:
    result = simssl("run", small(dataset={"name": "image_folder", "path": "nowhere"}), "--cluster", "slurm")
    assert result.exit_code == 2
    assert not (slurm / "submitted.sh").exists()


def test_there_is_no_slurm(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    result = simssl("run", small(), "--cluster", "slurm")
    assert result.exit_code == 2
    assert "there is no sbatch" in result.stderr


def test_there_is_no_submitit(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    result = simssl("run", small(), "--cluster", "local")
    assert result.exit_code == 2
    assert "pip install 'simssl[slurm]'" in result.stderr
