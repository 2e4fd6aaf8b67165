"""Kills at random moments (SIGKILL), and whether what is gone on with differs from what was never disturbed.

Runs of their own, grids with --jobs, of which all processes or one worker are killed, and evaluations of a trained run,
each given the same command again until it ends. Prints the kills, the places that they hit, and the differences: of the
weights bit for bit, and of metrics.json byte for byte. 100 kills take some ten minutes on two cores, and the exit code
is 1 if anything differs. Run it with: python benchmarks/crash_storm.py --kills 100
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
import yaml

from simssl.store.checkpoint import load_state
from simssl.store.files import read_json

EXPERIMENT: dict[str, Any] = {
    "name": "storm",
    "dataset": {"name": "digits"},
    "views": {"crop": {"scale": [0.4, 1.0]}},
    "backbone": {"name": "mlp", "hidden": [64]},
    "latent_dim": 8,
    "objective": {"name": "simvae", "J": 3},
    "training": {"views": 9_000, "batch_views": 60, "log_every": 5, "checkpoint_seconds": 0},
    "evaluators": [{"name": "knn"}, {"name": "reconstruction"}, {"name": "collapse"}],
    "trackers": [],
}
GRID = {"objective": [{"name": "simvae", "J": 3}, {"name": "simclr"}], "seed": [1, 2]}
MORE = ("-e", "gmm", "-e", "{name: knn, as: far, k: 50}")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
"""One thread, so that a grid's runs have as many as those of the reference."""
BEFORE_IT_BEGINS = 0.1
"""The share of kills that may come while Python still imports."""


@dataclass
class Storm:
    """The kills so far, the places that they hit, and what differed."""

    kills: int
    chance: random.Random
    killed: int = 0
    places: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    compared: int = 0


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "simssl", *map(str, words)]


def undisturbed(*words: object) -> float:
    """Run a command to its end, and return the seconds since it began to work."""
    process = begun(*words)
    wait_for_work(process, *words)
    start = time.perf_counter()
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(errors)
    return time.perf_counter() - start


def wait_for_work(process: subprocess.Popen[str], *words: object) -> None:
    """Wait until a command has loaded torch and says its first line. An evaluation says nothing before its end."""
    assert process.stderr
    if words[0] != "evaluate":
        process.stderr.readline()


def begun(*words: object) -> subprocess.Popen[str]:
    """A command's process, in a group of its own."""
    return subprocess.Popen(
        command(*words),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def disturbed(storm: Storm, words: list[object], longest: float, runs: Path, one_worker: bool) -> bool:
    """Run a command, and kill it at a random moment. Return whether it ended before."""
    process = begun(*words)
    if storm.chance.random() > BEFORE_IT_BEGINS:
        wait_for_work(process, *words)
    moment = storm.chance.uniform(0, longest)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=moment)
    if process.poll() is not None:
        return process.returncode == 0
    workers = _workers(process.pid) if one_worker else []
    if workers:
        with suppress(ProcessLookupError):
            os.kill(storm.chance.choice(workers), signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    storm.killed += 1
    kind = _kind(words)
    storm.by_kind[kind] += 1
    ended = " (one worker)" if workers else ""
    for place in _places(runs, AFTER_EVALUATION if kind == "evaluate" else AFTER_RUN):
        storm.places[f"{kind}{ended}: {place}"] += 1
        click.echo(f"kill {storm.killed}: {kind}{ended}: {place}", err=True)
    process.communicate()
    return process.returncode == 0


def _workers(pid: int) -> list[int]:
    """The worker processes of a command: its children but for multiprocessing's resource tracker."""
    workers = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with suppress(OSError):
            if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text():
                workers.append(int(child))
    return workers


def _kind(words: list[object]) -> str:
    return "grid" if "--jobs" in words else str(words[0])


def _places(runs: Path, labels: frozenset[str]) -> list[str]:
    """The stage of each run that was under way; whether none was begun, or all were done, if none was."""
    stages = []
    for lock in sorted(runs.rglob(".lock")):
        folder = lock.parent
        stage = _stage(folder, labels)
        if any(folder.rglob("*.part")):
            stage += ", while a file was written"
        stages.append(stage)
    under_way = [stage for stage in stages if stage not in (UNTOUCHED, MEASURED)]
    if under_way:
        return under_way
    return ["after the last record" if stages and set(stages) == {MEASURED} else "before a run was begun"]


UNTOUCHED = "not begun"
MEASURED = "measured"
AFTER_RUN = frozenset({"knn", "reconstruction", "collapse"})
AFTER_EVALUATION = AFTER_RUN | {"gmm", "far"}
"""The labels of what is measured when a command has ended."""


def _stage(folder: Path, wanted: frozenset[str]) -> str:
    state = load_state(folder / "checkpoint.pt")
    if state is None:
        return "before the first checkpoint" if (folder / "experiment.yaml").exists() else UNTOUCHED
    if not state["done"]:
        return "training, after a checkpoint"
    document = read_json(folder / "metrics.json") or {"metrics": {}}
    labels = {key.split("/")[0] for key in document["metrics"]}
    if not labels:
        return "trained, nothing measured"
    return MEASURED if wanted <= labels else f"measured in part ({len(wanted & labels)} of {len(wanted)} evaluators)"


def compare(storm: Storm, ours: Path, undisturbed_runs: Path) -> None:
    """Note where the runs in a folder differ from those that were never disturbed."""
    for checkpoint in sorted(ours.rglob("checkpoint.pt")):
        folder = checkpoint.parent
        reference = undisturbed_runs / folder.relative_to(ours)
        storm.compared += 1
        if not _same_weights(checkpoint, reference / "checkpoint.pt"):
            storm.differences.append(f"weights of {folder.name}")
        if (folder / "metrics.json").read_bytes() != (reference / "metrics.json").read_bytes():
            storm.differences.append(f"metrics.json of {folder.name}")


def _same_weights(file: Path, other: Path) -> bool:
    first = load_state(file)
    second = load_state(other)
    assert first
    assert second
    ours, theirs = first["objective"], second["objective"]
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def until_done(storm: Storm, words: list[object], longest: float, runs: Path, one_worker: bool = False) -> None:
    """Give a command again and again, killed each time, until it ends. When the kills are spent, it is left alone."""
    while storm.killed < storm.kills:
        if disturbed(storm, words, longest, runs, one_worker and storm.chance.random() < 0.5):
            return
    undisturbed(*words)


def show(storm: Storm) -> None:
    click.echo(f"{storm.killed} kills, {storm.compared} runs compared, {len(storm.differences)} differences")
    for place, count in sorted(storm.places.items()):
        click.echo(f"{count:5d}  {place}")
    for difference in storm.differences:
        click.echo(f"  DIFFERS: {difference}")


@click.command()
@click.option("--kills", default=100, show_default=True, help="Kills in all.")
@click.option("--seed", default=0, show_default=True, help="Seed of the moments.")
def main(kills: int, seed: int) -> None:
    """Kill, go on, and compare."""
    storm = Storm(kills, random.Random(seed))
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        single = here / "single.yaml"
        single.write_text(yaml.safe_dump(EXPERIMENT))
        grid = here / "grid.yaml"
        grid.write_text(yaml.safe_dump({**EXPERIMENT, "grid": GRID}))
        time_single = undisturbed("run", single, "--runs", here / "of-run")
        time_grid = undisturbed("run", grid, "--runs", here / "of-grid", "--jobs", 2)
        trained = next((here / "of-run").rglob("checkpoint.pt")).parent
        shutil.copytree(here / "of-run", here / "of-evaluation")
        measured = here / "of-evaluation" / trained.relative_to(here / "of-run")
        time_more = undisturbed("evaluate", measured, *MORE)

        def run(ours: Path) -> None:
            until_done(storm, ["run", single, "--runs", ours], time_single, ours)
            compare(storm, ours, here / "of-run")

        def side_by_side(ours: Path) -> None:
            until_done(storm, ["run", grid, "--runs", ours, "--jobs", 2], time_grid, ours, one_worker=True)
            compare(storm, ours, here / "of-grid")

        def evaluation(ours: Path) -> None:
            shutil.copytree(here / "of-run", ours)
            folder = ours / trained.relative_to(here / "of-run")
            words = ["evaluate", folder, *MORE]  # the same again measures all of it again, so a folder is killed once
            if not disturbed(storm, words, time_more, ours, one_worker=False):
                undisturbed(*words)
            compare(storm, ours, here / "of-evaluation")

        kinds: dict[str, Callable[[Path], None]] = {"run": run, "grid": side_by_side, "evaluate": evaluation}
        number = 0
        while storm.killed < kills:
            ours = here / f"storm-{number}"
            fewest = min(kinds, key=storm.by_kind.__getitem__)
            kinds[fewest](ours)
            shutil.rmtree(ours)
            number += 1
    show(storm)
    sys.exit(1 if storm.differences else 0)


if __name__ == "__main__":
    main()
