"""`training.deterministic`: captured steps are the eager ones bit for bit, and so is a run that was killed.

The runs that are killed are commands, `simssl run`, three side by side: one that nothing happens to, one that gets
SIGKILL and one that gets SIGTERM, both after their first checkpoint; they are started again, and compared.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import torch
from random_images import EXPERIMENTS
from rows import Settings, begin, guarded, row
from runs import CIFAR10, MNIST, build, captured, eager, is_captured, told, train_until

from simssl.store.checkpoint import load_state

STEPS = 60
CASES = (
    ("MNIST, SimVAE, float32", MNIST, "{name: simvae}", 120, ()),
    ("MNIST, SimVAE, bfloat16", MNIST, "{name: simvae}", 120, ("training.precision=bfloat16",)),
    ("CIFAR-10's shape, SimCLR, ResNet-18, float32", CIFAR10, "{name: simclr}", 120, ()),
    (
        "CIFAR-10's shape, SimVAE, ResNet-18, bfloat16, channels last",
        CIFAR10,
        "{name: simvae}",
        120,
        ("training.precision=bfloat16", "training.channels_last=true"),
    ),
)
LOG_EVERY = 20


def main() -> None:
    settings = begin()
    with ThreadPoolExecutor(1) as beside:  # the commands are processes of their own
        interrupted = beside.submit(resumption, settings)
        for what, *case in CASES[:2] if settings.tiny else CASES:
            with guarded(what):
                same_bits(what, *case, settings)
        with guarded("resumption"):
            interrupted.result()


def same_bits(what: str, file: str, objective: str, views: int, changes: tuple[str, ...], settings: Settings) -> None:
    asked = ("training.deterministic=true", f"training.log_every={LOG_EVERY}", *changes)
    with told() as log:
        trainers = [make(build(settings, file, objective, views, *asked)) for make in (eager, captured)]
        for trainer in trainers:
            train_until(trainer, STEPS)
    one, other = (trainer.objective.state_dict() for trainer in trainers)
    unequal = [name for name in one if not torch.equal(one[name], other[name])]
    largest = max((float((one[name].double() - other[name].double()).abs().max()) for name in unequal), default=0.0)
    same_draws = torch.equal(*(trainer.generator.get_state() for trainer in trainers))
    row(
        f"{what}: weights after {STEPS} steps, captured and eager",
        len(unequal),
        f"of {len(one)} tensors differ",
        largest_difference=largest,
        same_draws=same_draws,
        captured=is_captured(trainers[1]),
        log="; ".join(log),
    )


def resumption(settings: Settings) -> None:
    with tempfile.TemporaryDirectory() as place:
        begin_and_end: dict[str, Callable[[], int]] = {
            "whole": partial(run, settings, Path(place, "whole")),
            "SIGKILL": partial(interrupt, settings, Path(place, "SIGKILL"), signal.SIGKILL),
            "SIGTERM": partial(interrupt, settings, Path(place, "SIGTERM"), signal.SIGTERM),
        }
        with ThreadPoolExecutor(3) as pool:
            codes = dict(zip(begin_and_end, pool.map(lambda call: call(), begin_and_end.values()), strict=True))
        for name in ("SIGKILL", "SIGTERM"):
            what = f"resumed after {name}"
            with guarded(what):
                compare(what, Path(place, "whole"), Path(place, name), codes[name])


def command(settings: Settings, runs: Path) -> list[str]:
    steps = 300 if settings.tiny else 3000
    changes = (
        "grid={}",
        f"training.views={120 * steps}",
        f"training.log_every={LOG_EVERY}",
        "training.checkpoint_seconds=0",
        "training.deterministic=true",
        "evaluators=[{name: knn}]",
        "trackers=[]",
    )
    words = [sys.executable, "-m", "simssl", "run", str(EXPERIMENTS / "quickstart.yaml")]
    words += ["--device", settings.device.type, "--runs", str(runs)]
    for change in changes:
        words += ["-s", change]
    return words


def run(settings: Settings, runs: Path) -> int:
    subprocess.run(command(settings, runs), check=True)
    return 0


def interrupt(settings: Settings, runs: Path, signum: int) -> int:
    """Start the run, send it the signal after its first checkpoint, and run it to its end. How the first one ended."""
    process = subprocess.Popen(command(settings, runs))
    while process.poll() is None and not list(runs.rglob("checkpoint.pt")):
        time.sleep(0.01)
    process.send_signal(signum)
    code = process.wait()
    run(settings, runs)
    return code


def compare(what: str, whole: Path, resumed: Path, code: int) -> None:
    if code == 0:
        row(what, error="the run had ended before the signal came")
        return
    one, other = (load_state(next(runs.rglob("checkpoint.pt"))) for runs in (whole, resumed))
    assert one is not None
    assert other is not None
    weights = other["objective"]
    unequal = [name for name, tensor in one["objective"].items() if not torch.equal(tensor, weights[name])]
    metrics = [next(runs.rglob("metrics.json")).read_bytes() for runs in (whole, resumed)]
    row(
        f"{what}: weights beside those of a run that nothing happened to",
        len(unequal),
        f"of {len(weights)} tensors differ",
        same_metrics=metrics[0] == metrics[1],
        exit_code=code,
    )


if __name__ == "__main__":
    main()
