"""Seconds of a grid's runs side by side (`simssl run --jobs N`), as a ratio to one after the other with all threads.

Medians of three, interleaved, after one warm-up; the quickstart's digits, N as many as there are cores unless
--jobs says otherwise, four runs for each; on the GPU if there is one. Run it with: python benchmarks/jobs.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import machine

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "quickstart.yaml"
ROUNDS, VIEWS = 3, 120_000


def seconds(count: int, *words: str, **variables: str) -> float:
    with tempfile.TemporaryDirectory() as runs:
        grid = f"grid={{objective: [{{name: simvae}}, {{name: simclr}}], seed: {list(range(count // 2))}}}"
        settings = ("-s", grid, "-s", f"training.views={VIEWS}", "-s", "evaluators=[{name: knn}, {name: style_probe}]")
        command = [
            sys.executable,
            "-m",
            "simssl",
            "run",
            str(EXPERIMENT),
            *settings,
            "--runs",
            runs,
            *words,
        ]
        start = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, **variables}, capture_output=True)
        return time.perf_counter() - start


@click.command()
@click.option("--jobs", type=int, help="Runs side by side; as many as there are cores if not given.")
def main(jobs: int | None) -> None:
    """Time a grid one run after the other and side by side."""
    jobs = jobs or len(os.sched_getaffinity(0))
    ways: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
        "one after the other, all threads": ((), {}),
        "one after the other, 1 thread": ((), {"OMP_NUM_THREADS": "1"}),
        f"{jobs} side by side": (("--jobs", str(jobs)), {}),
    }
    os.environ.pop("OMP_NUM_THREADS", None)
    seconds(2, "-s", "training.views=1200")
    rounds = [
        {way: seconds(4 * jobs, *words, **variables) for way, (words, variables) in ways.items()} for _ in range(ROUNDS)
    ]
    medians = {way: statistics.median(times[way] for times in rounds) for way in ways}
    reference = next(iter(medians.values()))
    print(f"{machine.about()}; {4 * jobs} runs, medians of {ROUNDS}")
    for way, median in medians.items():
        spread = "-".join(f"{extreme(times[way] for times in rounds):.1f}" for extreme in (min, max))
        print(f"{way:34} {median:7.1f} s ({spread})   ratio {reference / median:.2f}")


if __name__ == "__main__":
    main()
