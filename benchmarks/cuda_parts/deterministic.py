"""`training.deterministic`: captured steps are the eager ones bit for bit, and so is a run that was killed.

Two runs are commands, `simssl run`, in processes of their own: one gets SIGKILL and one gets SIGTERM, both after their
first checkpoint. Then they are brought to their ends, and compared with a run that nothing has happened to.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import torch
from rows import Settings, begin, guarded, row
from runs import CIFAR10, MNIST, build, captured, command_line, eager, is_captured, run_here, told, train_until

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
SIGNALS = (signal.SIGKILL, signal.SIGTERM)


def main() -> None:
    settings = begin()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(len(SIGNALS)) as beside:
        place = Path(folder)
        codes: dict[int, Future[int]] = {}
        for signum in SIGNALS:
            words = command(settings, place, signum.name)
            codes[signum] = beside.submit(interrupted, words, place / signum.name, signum)
        for what, *case in CASES[:2] if settings.tiny else CASES:
            with guarded(what):
                same_bits(what, *case, settings)
        with guarded("a run that nothing happens to"):
            run_here(command(settings, place, "whole"))
        for signum in SIGNALS:
            what = f"resumed after {signum.name}"
            with guarded(what):
                code = codes[signum].result()
                run_here(command(settings, place, signum.name))
                compare(what, place / "whole", place / signum.name, code)


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


def command(settings: Settings, place: Path, runs: str) -> list[str]:
    """The words of `simssl run` for a run that lasts for some seconds and saves its state all the time."""
    steps = 400 if settings.tiny else 3000
    small = ("backbone={name: mlp, hidden: [64]}",) if settings.tiny else ()
    changes = (
        *small,
        "grid={}",
        f"training.views={120 * steps}",
        f"training.log_every={LOG_EVERY}",
        "training.checkpoint_seconds=0",
        "training.deterministic=true",
    )
    return command_line(settings, place, place / runs, *changes)


def interrupted(words: list[str], runs: Path, signum: int) -> int:
    """Start the run in a process of its own, and send it the signal after its first checkpoint. How it ended."""
    process = subprocess.Popen([sys.executable, "-m", "simssl", *words])
    while process.poll() is None and not list(runs.rglob("checkpoint.pt")):
        time.sleep(0.01)
    process.send_signal(signum)
    return process.wait()


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
