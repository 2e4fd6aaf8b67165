"""How long `simssl status` and the planning of a grid take, on runs that were never trained.

    python benchmarks/status.py [RUNS]

It prints the seconds of `simssl status FILE` and of `simssl status RUNS`, of so many runs in a temporary folder of
which a third is done, a third running or stopped, and a third has failed; and those of `simssl check` of a file of one
run and of a grid of so many. Each is the best of three commands, with Python's start.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OBJECTIVES = ("random", "vae", "simclr", "simvae")
EXPERIMENT = """\
name: fake
dataset: {{name: digits}}
backbone: {{name: mlp, hidden: [512, 256, 256]}}
latent_dim: 10
objective: {{name: simvae}}
training: {{views: 200_000, batch_views: 240, optimizer: {{name: adam, lr: 3e-3}}}}
evaluators: [{{name: knn}}, {{name: mlp_probe}}, {{name: style_probe}}, {{name: reconstruction}}]
grid:
  objective: [{objectives}]
  seed: [{seeds}]
"""


def write_grid(path: Path, runs: int) -> Path:
    """Write an experiment of so many runs: a file may have 5,000 values, so a seed has several objectives."""
    objectives = OBJECTIVES[: min(runs, len(OBJECTIVES))]
    seeds = range(runs // len(objectives))
    named = ", ".join(f"{{name: {name}}}" for name in objectives)
    path.write_text(EXPERIMENT.format(objectives=named, seeds=", ".join(map(str, seeds))))
    return path


def fake(file: Path, below: Path) -> None:
    """Write the folders of a file's runs as if they had been worked on."""
    from simssl.experiment.outline import outlines
    from simssl.plugin.registry import Registry
    from simssl.store.folder import RunFolder
    from simssl.store.progress import stamp_of

    evaluators = ("knn", "mlp_probe", "style_probe", "reconstruction")
    for number, run in enumerate(outlines(file, Registry())):
        folder = RunFolder(below / run.folder)
        for inner in ("features", "images/reconstruction"):
            (folder.path / inner).mkdir(parents=True)
        (folder.path / ".lock").write_text(f"process 1 on {socket.gethostname()} since 2026-01-31 12:00:00")
        folder.experiment.write_text("name: fake\n")
        state = ("done", "running", "failed")[number % 3]
        if state == "done":
            folder.metrics.write_text('{"metrics": {}}')
        measured = [{"name": name, "k": 20} for name in evaluators] if state == "done" else []
        _record(folder, state, number, evaluators=measured, stamp=stamp_of(folder) if measured else None)


def _record(folder: Any, state: Any, number: int, **values: Any) -> None:
    from simssl.store.progress import progress_now

    steps = {"step": number % 833, "steps": 833, "message": "a loss is not finite" if state == "failed" else ""}
    folder.progress.write_text(progress_now(state, **steps, **values).model_dump_json(indent=2))


def seconds(*words: object) -> float:
    """The shortest of three times of a command."""
    command = [sys.executable, "-m", "simssl", *map(str, words)]
    times = []
    for _ in range(3):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        one = write_grid(Path("one.yaml"), 1)
        many = write_grid(Path("many.yaml"), runs)
        fake(many, Path("runs"))
        print(f"simssl status, experiment file of {runs:,} runs   {seconds('status', many):5.2f} s")
        print(f"simssl status, folder of {runs:,} runs            {seconds('status', 'runs'):5.2f} s")
        print(f"simssl check, 1 run                           {seconds('check', one):5.2f} s")
        print(f"simssl check, grid of {runs:,} runs               {seconds('check', many):5.2f} s")


if __name__ == "__main__":
    main()
