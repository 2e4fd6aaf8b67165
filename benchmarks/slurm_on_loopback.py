"""A grid of twelve runs on a real Slurm, which is made for it on this machine and stopped afterwards.

    apt-get install slurm-wlm munge
    python benchmarks/slurm_on_loopback.py

As root, and with Slurm 22.05 or newer. Configuration, key, state and logs lie in a temporary folder, and all daemons
listen on 127.0.0.1 alone. It

1. runs the grid without a cluster, for comparison;
2. submits it, twice: the second command finds all runs queued or running, and submits nothing;
3. sends one task submitit's signal, as Slurm does before a task's time is over: it saves its run and is queued again;
4. requeues another task, as Slurm does where a task is preempted;
5. waits until all is done, and compares table and numbers with those without a cluster.

At each step it prints what `simssl status` says, and checks it. The last line is "all is as it should be".
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "scontrol", "sinfo")
PATIENCE = 900.0
"""Most seconds that anything may take."""

EXPERIMENT = """\
name: loopback
dataset: {name: digits}
views: {crop: {scale: [0.4, 1.0], ratio: [0.75, 1.3333]}}
backbone: {name: mlp, hidden: [128]}
latent_dim: 10
objective: {name: simvae}
training: {views: 120_000, batch_views: 240, log_every: 10, checkpoint_seconds: 1}
evaluators: [{name: knn}]
grid:
  objective: [{name: vae}, {name: simclr}, {name: simvae}]
  seed: [0, 1, 2, 3]
"""

CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=30
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def lacking() -> str | None:
    """Return why there can be no Slurm here; None if there can."""
    missing = [name for name in NEEDED if shutil.which(name, path=_PATH) is None]
    if missing:
        return f"there is no {', '.join(missing)}: apt-get install slurm-wlm munge"
    if os.geteuid():
        return "Slurm's daemons are started as root"
    return None


_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start a Slurm of this one machine. Yield the environment in which its commands find it."""
    folder.chmod(0o755)  # munged wants its socket to be in reach
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    controller, daemon = _free_ports(2)
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(
        CONFIGURATION.format(host=host, folder=folder, controller=controller, daemon=daemon, cpus=os.cpu_count())
    )
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    environment = {**os.environ, "SLURM_CONF": str(conf), "PATH": _PATH}
    munged = ["munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket"]
    munged += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munge.seed"]
    with ExitStack() as stack:
        stack.enter_context(_daemon(munged, folder / "munged.out", environment))
        _wait_for((folder / "munge.socket").exists, "munged")
        stack.enter_context(_daemon(["slurmctld", "-D", "-i", "-f", str(conf)], folder / "slurmctld.out", environment))
        stack.enter_context(_daemon(["slurmd", "-D", "-N", host, "-f", str(conf)], folder / "slurmd.out", environment))
        _wait_for(lambda: _said(["sinfo", "--noheader", "--format=%t"], environment).strip() == "idle", "Slurm")
        try:
            yield environment
        finally:
            _said(["scancel", f"--user={os.geteuid()}"], environment)
            _wait_for(lambda: not _said(["squeue", "--noheader"], environment), "the end of all jobs")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def _daemon(command: list[str], log: Path, environment: dict[str, str]) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(right: Callable[[], Any], what: str) -> Any:
    """Wait until something is true, and return it. RuntimeError if it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = right()
        if result:
            return result
        time.sleep(0.5)
    raise RuntimeError(f"waited for {what} in vain")


def _said(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, env=environment).stdout


class Grid:
    """The experiment's commands, in a folder, with this Slurm."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment | {"OMP_NUM_THREADS": "1", "XDG_STATE_HOME": str(folder / "home")}
        (folder / "grid.yaml").write_text(EXPERIMENT)

    def simssl(self, *words: str) -> str:
        """What a command prints. RuntimeError if it fails."""
        command = [sys.executable, "-m", "simssl", *words]
        finished = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=self.environment)
        if finished.returncode:
            raise RuntimeError(f"simssl {' '.join(words)}: {finished.stdout}{finished.stderr}")
        return finished.stdout if words[0] in ("status", "report") else finished.stderr

    def slurm(self, *words: str) -> str:
        return _said(list(words), self.environment)

    def runs(self) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = json.loads(self.simssl("status", "grid.yaml", "--json"))
        return runs

    def show(self, title: str) -> Counter[str]:
        """Print the status under a title, and return how many runs are in each state."""
        print(f"\n--- {title}\n{self.simssl('status', 'grid.yaml')}", flush=True)
        return Counter(run["state"] for run in self.runs())

    def task_in_training(self, but: str = "") -> str:
        """Wait for a run that has saved a state and is not trained. Return its job's number, which is not `but`."""

        def found() -> str:
            for run in self.runs():
                job = str(run["job"]).removeprefix("slurm ")
                folder = self.folder / run["folder"]
                trained = (folder / "metrics.json").exists()
                if run["state"] == "running" and job != but and not trained and (folder / "checkpoint.pt").exists():
                    return job
            return ""

        return str(_wait_for(found, "a run in training"))

    def run_of(self, job: str) -> dict[str, Any]:
        (run,) = [run for run in self.runs() if run["job"] == f"slurm {job}"]
        return run


def check(right: bool, what: str) -> None:
    """Print what is right. RuntimeError if it is not."""
    if not right:
        raise RuntimeError(f"wrong: {what}")
    print(f"right: {what}", flush=True)


def submitted(grid: Grid) -> None:
    check(grid.show("before") == {"waiting": 12}, "12 runs are waiting")
    print(grid.simssl("run", "grid.yaml", "--cluster", "slurm", "--cluster-option", "time=30"))
    states = grid.show("submitted")
    check(states["queued"] + states["running"] == 12, "12 runs are queued or running")
    again = grid.simssl("run", "grid.yaml", "--cluster", "slurm")
    print(again)
    check("submitted" not in again, "the same command again submits nothing")
    print(grid.slurm("squeue"))


def signalled(grid: Grid) -> str:
    """Send a task submitit's signal once its run is in training. Return its job's number."""
    job = grid.task_in_training()
    grid.slurm("timeout", "5", "scancel", "--signal=USR2", job)  # it tries again while the task ends, for a minute
    _wait_for(lambda: grid.run_of(job)["state"] in ("queued", "done"), f"{job} in the queue")
    grid.show(f"task {job} got the signal")
    run = grid.run_of(job)
    check(run["state"] == "queued" and 0 < run["step"] < run["steps"], f"its run is queued again at step {run['step']}")
    return job


def requeued(grid: Grid, but: str) -> str:
    """Requeue another task. Return its job's number."""
    job = grid.task_in_training(but)
    grid.slurm("scontrol", "requeue", job)
    _wait_for(lambda: grid.run_of(job)["state"] in ("queued", "done"), f"{job} in the queue")
    grid.show(f"task {job} is requeued")
    check(grid.run_of(job)["state"] == "queued", "its run is queued again")
    return job


def go_on(grid: Grid, *jobs: str) -> None:
    """Let requeued tasks begin at once, which Slurm has wait for two minutes, and wait for the end of all."""
    for job in jobs:
        _wait_for(lambda job=job: "PENDING" in grid.slurm("squeue", "-h", "-j", job, "-o", "%T"), f"{job} pending")
        grid.slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
    states: Callable[[], Counter[str]] = lambda: Counter(run["state"] for run in grid.runs())  # noqa: E731
    _wait_for(lambda: not {"queued", "running", "stopped"} & set(states()), "the end")
    check(grid.show("at the end") == {"done": 12}, "12 runs are done")


def compare(grid: Grid) -> None:
    tables = [grid.simssl("report", "grid.yaml", "--runs", runs, "--format", "md") for runs in ("alone", "runs")]
    print(tables[1])
    check(tables[0] == tables[1], "the table is that of the grid without a cluster")
    numbers = []
    for runs in ("alone", "runs"):
        folder = grid.folder / runs / "loopback"
        numbers.append({path.parent.name: path.read_bytes() for path in folder.glob("*/metrics.json")})
    check(len(numbers[0]) == 12 and numbers[0] == numbers[1], "metrics.json is the same, bit for bit, in 12 runs")
    pickles = sorted((grid.folder / "runs").rglob("*.pkl"))
    check(not pickles, "no pickle lies among the runs")


def main() -> None:
    reason = lacking()
    if reason:
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="simssl-slurm-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        with slurm(folder) as environment:
            grid = Grid(folder, environment)
            print(_said(["sinfo"], environment))
            grid.simssl("run", "grid.yaml", "--runs", "alone", "--jobs", "2")
            submitted(grid)
            first = signalled(grid)
            second = requeued(grid, but=first)
            go_on(grid, first, second)
            compare(grid)
    print("all is as it should be")


if __name__ == "__main__":
    main()
