"""Everything about simssl that a CUDA device alone can tell, in the order of its value, within 560 seconds.

Each part is a process group of its own (`cuda_parts/`), which is killed when its limit is over. `on_cuda.json` and
`on_cuda.md` in the folder of --out are written anew with every row, so that nothing is lost whatever happens, and the
exit code is 0. This file needs the standard library alone; so a part that lacks a package says so, and the others go
on.

Run it with: python benchmarks/on_cuda.py --out DIR
To see on a CPU that all of it runs: python benchmarks/on_cuda.py --device cpu --tiny --out DIR
To carry it to a machine without a network: python benchmarks/on_cuda.py --pack DIR (see `cuda_runner/pack.py`)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from cuda_runner.process import Measured, Part, Row, run
from cuda_runner.report import Goal, Report

HERE = Path(__file__).resolve().parent
BUDGET = 560.0
LEAST = 10.0
"""Seconds under which no part is begun: about as long as it takes to import torch and to find the device."""
SLOWER = 3
"""On a CPU the limits are so many times as long: nothing is measured there, and others may work there as well."""

GOALS = (
    Goal("mnist-step", "MNIST, SimVAE, 120 views: a step takes at most 0.3 ms", "ms", at_most=0.3),
    Goal("cifar-epoch", "CIFAR-10's shape, SimCLR, ResNet-18: an epoch takes at most 4 s", "s", at_most=4.0),
    Goal("by-hand", "30 times the hand-written loop with 16 workers", "times", at_least=30.0),
    Goal("tests", "every test marked cuda passes", "failed", at_most=0.0, every=True),
    Goal("mnist-knn", "MNIST: kNN reaches 0.975 with mnist_fast.yaml", "accuracy", at_least=0.975),
)

ABOUT: Mapping[str, tuple[float, str]] = {
    "rates": (25, "versions, bandwidth, rates of products"),
    "smoke": (40, "MNIST's shape, SimVAE, in each precision: captured, or why not"),
    "deterministic": (50, "captured steps against eager ones, bit for bit; resumption after SIGKILL and SIGTERM"),
    "marked_tests": (75, "the tests that are marked cuda"),
    "step_table": (80, "a step by objective, network, precision, layout, captured and eager"),
    "replay_profile": (20, "the kernels of a captured launch: how many, the longest, idle time between them"),
    "by_hand": (50, "a step beside the hand-written loop with no worker and with 16"),
    "accuracies": (75, "MNIST: from the command to kNN, and a slice of table 1"),
    "cifar_epoch": (40, "an epoch of CIFAR-10's shape, SimCLR, ResNet-18, 512 images a step"),
    "evaluators": (35, "evaluators beside scikit-learn on the same features"),
    "beside_lightly": (40, "images a second of SimCLR beside lightly"),
    "memory_and_jobs": (30, "memory over captures, streamed images, several runs side by side"),
}
"""Of each part, in order: its limit in seconds, and what it measures."""


def parts_of(device: str, tiny: bool, data: Path) -> list[Part]:
    """All parts, with the commands that measure on this device."""
    times = 1 if device == "cuda" else SLOWER
    parts = []
    for name, (limit, about) in ABOUT.items():
        script = HERE / "cuda_parts" / f"{name}.py"
        command = [sys.executable, str(script), "--device", device, "--until", "UNTIL", "--data", str(data)]
        if tiny:
            command.append("--tiny")
        parts.append(Part(name, about, times * limit, tuple(command)))
    return parts


class Stopped(BaseException):
    """A signal asked for the end."""


def measure(report: Report, budget: float = BUDGET, least: float = LEAST) -> None:
    """Run the parts of the report one after the other, and write it whenever something has changed."""
    deadline = time.monotonic() + budget
    try:
        for measured in report.parts:
            left = deadline - time.monotonic()
            if left < least:
                measured.status = "skipped: no time left"
                continue
            _run(report, measured, min(measured.part.limit, left))
    except Stopped as stopped:
        for measured in report.parts:
            if measured.status == "not begun":
                measured.status = f"skipped: {stopped}"
            elif measured.status in ("running", "stopped"):
                measured.status = f"failed: {stopped}"
    finally:
        report.write()


def _run(report: Report, measured: Measured, allowed: float) -> None:
    name = measured.part.name
    _say(f"{name}: {measured.part.about}, {allowed:.0f} s at most")

    def row_came(row: Row) -> None:
        _say("  " + ", ".join(f"{key} {value}" for key, value in row.items()))
        report.write()

    try:
        run(measured, allowed, _environment(report.facts.get("device") == "cpu"), row_came)
    finally:
        report.write()
    _say(f"{name}: {measured.status}, {measured.seconds:.1f} s")


def _say(text: str) -> None:
    """Print it; where nobody reads any more, go on."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def _environment(on_cpu: bool) -> dict[str, str]:
    """That of a part: its modules are found, and what it says comes at once, also if it crashes."""
    paths = [str(HERE), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}
    if on_cpu:  # small sizes: threads that wait for one another would take the time
        own["OMP_NUM_THREADS"] = "1"
    return {**os.environ, **own}


def stop_on_signals() -> None:
    """Let a first SIGTERM, SIGINT or SIGHUP end the measurement in order, and the later ones do nothing."""
    stopped = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            raise Stopped(f"stopped by {signal.Signals(signum).name}")

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, stop)


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, help="Folder for on_cuda.json and on_cuda.md.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="Small sizes: to see that everything runs.")
    parser.add_argument("--part", action="append", choices=tuple(ABOUT), help="This part alone; can be repeated.")
    parser.add_argument("--data", type=Path, default=Path("data"), help="The folder that MNIST lies in.")
    parser.add_argument("--budget", type=float, default=BUDGET, help="Seconds in all (default: %(default)g).")
    parser.add_argument("--pack", type=Path, metavar="DIR", help="Instead: write what another machine needs.")
    parser.add_argument("--torch", default="2.11", help="The pack's: torch of that machine (default: %(default)s).")
    parser.add_argument(
        "--without", action="append", default=[], help="The pack's: a distribution that machine has; can be repeated."
    )
    options = parser.parse_args(words)
    if not options.out and not options.pack:
        parser.error("give --out DIR, or --pack DIR")
    return options


def main(words: Sequence[str] | None = None) -> None:
    """Measure, or write the pack."""
    options = arguments(words)
    if options.pack:
        from cuda_runner.pack import write_pack

        data = options.data if options.data.is_dir() else None
        write_pack(options.pack, data, options.torch, options.without)
        return
    parts = parts_of(options.device, options.tiny, options.data.resolve())
    chosen = [part for part in parts if not options.part or part.name in options.part]
    of_full_size = options.device == "cuda" and not options.tiny
    facts = {"device": options.device, "tiny": options.tiny, "budget": options.budget}
    stop_on_signals()
    measure(Report(chosen, GOALS, options.out, facts, judged=of_full_size), options.budget)


if __name__ == "__main__":
    main()
