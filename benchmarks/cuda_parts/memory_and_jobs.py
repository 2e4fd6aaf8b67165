"""Memory over captures that follow one another, images that are streamed, and `simssl run --jobs`."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import torch
from random_images import steps_by
from rows import Settings, begin, guarded, row, seconds_a_step, wait
from runs import CIFAR10, MNIST, build, captured, command_line, graphs_of, is_captured, run_here
from torch import Tensor

from simssl.training.capture.launcher import LONGEST, launcher
from simssl.training.machine.pool import CopyStream, Streamed, put
from simssl.training.trainer import Trainer

CAPTURES, RUNS = 6, 4


def main() -> None:
    settings = begin()
    with guarded("memory over captures"):
        memory_over_captures(settings)
    for file, objective, views in ((MNIST, "{name: simvae}", 120), (CIFAR10, "{name: simclr}", 1024)):
        with guarded(f"streamed images, {file}"):
            streamed_beside_resident(file, objective, views, settings)
    for jobs in (1, 2) if settings.tiny else (1, 4, 2):
        with guarded(f"--jobs {jobs}"):
            side_by_side(jobs, settings)


def memory_over_captures(settings: Settings) -> None:
    """What a capture leaves behind: memory after the first ones, and after each of the others."""
    trainer = captured(build(settings, MNIST, "{name: simvae}", 120))
    trainer.train_step()
    assert trainer.unit is not None
    trainer.release()
    for number in range(1, (3 if settings.tiny else CAPTURES) + 1):
        graphs = graphs_of(trainer.built)
        launch = launcher(
            trainer.unit,
            graphs,
            name="simvae",
            taken=trainer.step,
            position=0,
            longest=LONGEST,
        )
        launch(1)
        wait(settings.device)
        row(f"memory after capture {number}", used_mebibytes(settings), "MiB", **of_allocator(settings))
        del launch, graphs


def used_mebibytes(settings: Settings) -> float:
    """On CUDA what the whole device has in use, elsewhere what this process has resident."""
    if settings.on_cuda:
        free, memory = torch.cuda.mem_get_info(settings.device)
        return (memory - free) / 2**20
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def of_allocator(settings: Settings) -> dict[str, float]:
    if not settings.on_cuda:
        return {}
    return {
        "allocated_MiB": torch.cuda.memory_allocated(settings.device) / 2**20,
        "reserved_MiB": torch.cuda.memory_reserved(settings.device) / 2**20,
    }


class HostCopies:
    """The copies of a pool on a CPU: each is made at once."""

    def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
        put(ring_RCHW, row, images_NCHW[index_M])

    def arrive(self) -> None:
        return

    def launched(self) -> None:
        return


def streamed_beside_resident(file: str, objective: str, views: int, settings: Settings) -> None:
    what = f"{file.removesuffix('_content.yaml')}, {objective}, {views} views"
    seconds = {}
    for name in ("resident", "streamed"):
        trainer = captured(build(settings, file, objective, views, "training.precision=bfloat16"))
        if name == "streamed":
            stream(trainer)
        steps = steps_by(trainer)
        steps(2)
        seconds[name] = seconds_a_step(steps, settings.device, 0.01 if settings.tiny else 0.3)
        row(f"{what}: {name} images", 1000 * seconds[name], "ms", captured=is_captured(trainer))
    row(f"{what}: streamed beside resident", seconds["streamed"] / seconds["resident"], "times as long")


def stream(trainer: Trainer) -> None:
    """Let the trainer, which has taken no step, take its images from the host."""
    assert trainer.unit is not None
    images_NCHW = trainer.built.data.train.images
    rows = 2 * LONGEST * trainer.built.images_per_step
    ring_RCHW = torch.empty((rows, *images_NCHW.shape[1:]), dtype=torch.uint8, device=trainer.device)
    copies = CopyStream(ring_RCHW) if trainer.device.type == "cuda" else HostCopies()
    trainer.pool = trainer.unit.pool = Streamed(images_NCHW, ring_RCHW, copies)


def side_by_side(jobs: int, settings: Settings) -> None:
    """A grid of four runs of small images, the start of the workers included; that of this process is not."""
    runs = 2 if settings.tiny else RUNS
    views = 1200 if settings.tiny else 600_000
    changes = (f"grid={{seed: {list(range(runs))}}}", f"training.views={views}")
    with tempfile.TemporaryDirectory() as place:
        words = command_line(settings, Path(place), Path(place, "runs"), *changes)
        words += ["--jobs", str(jobs)]
        start = time.perf_counter()
        run_here(words)
        seconds = time.perf_counter() - start
    row(f"{runs} runs of {views:,} views, --jobs {jobs}", seconds, "s")


if __name__ == "__main__":
    main()
