"""Training steps a second, as a ratio to the loop that a user would write: torchvision's transforms in a DataLoader,
image by image, the same networks and loss, eager Adam in float32.

Medians of five, interleaved, after one warm-up; random images of MNIST's shape, the networks of the paper, SimVAE with
J = 10. The loop is given the number of workers that is best for it. Run it with: python benchmarks/training_step.py
"""

from __future__ import annotations

import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from simssl.api import Data, Split
from simssl.experiment.config import load
from simssl.registry import Registry
from simssl.training.assemble import Assembly, assemble
from simssl.training.folder import RunFolder
from simssl.training.train import Trainer

ROOT = Path(__file__).parents[1]
ROUNDS, IMAGES, J = 5, 60_000, 10
WORKERS = (0, 2)
STEPS = {120: 30, 1000: 6}
"""By views a step: steps that are timed at once."""


class Views(Dataset[tuple[Tensor, int]]):
    """J views of each image, and its place."""

    def __init__(self, images_NCHW: Tensor) -> None:
        self.images_NCHW = images_NCHW
        crop = v2.RandomResizedCrop(28, (0.4, 1.0), (0.75, 1.3333), antialias=True)
        self.transform = v2.Compose([crop, v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        return len(self.images_NCHW)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        views = torch.stack([self.transform(self.images_NCHW[index]) for _ in range(J)])
        return (views > 0.5).float(), index


def experiment(views: int, precision: str, data: Data, device: torch.device) -> Assembly:
    settings = (
        "grid={}",
        f"training.batch_views={views}",
        f"training.precision={precision}",
        "training.log_every=1000000",
        "evaluators=[]",
        "trackers=[]",
    )
    (cell,) = load(ROOT / "experiments" / "mnist_content.yaml", Registry(), settings)
    return assemble(cell, Registry(), data, device)


def ours(assembly: Assembly) -> Callable[[int], None]:
    trainer = Trainer(assembly, RunFolder(Path(tempfile.mkdtemp())))

    def steps(count: int) -> None:
        end = trainer.step + count
        while trainer.step < end:
            trainer.train_step()

    return steps


def hand_written(assembly: Assembly, workers: int) -> Callable[[int], None]:
    objective, device, generator = assembly.objective, assembly.device, assembly.generator
    optimizer = torch.optim.Adam(objective.parameters(), lr=8e-5, eps=1e-4)
    loader = DataLoader(
        Views(assembly.data.train.images),
        assembly.images_per_step,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )

    def endless() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    batches = endless()

    def steps(count: int) -> None:
        for _ in range(count):
            x_BJCHW, index_B = next(batches)
            terms = objective(x_BJCHW.to(device, non_blocking=True), index_B.to(device), generator)
            loss = torch.stack(list(terms.loss.values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return steps


def seconds(steps: Callable[[int], None], count: int, device: torch.device) -> float:
    start = time.perf_counter()
    steps(count)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(
        f"torch {torch.__version__} on {platform.system()} {platform.machine()}, {device}, "
        f"{torch.get_num_threads()} threads, medians of {ROUNDS}"
    )
    data = Data.of(Split(torch.randint(0, 256, (IMAGES, 1, 28, 28), dtype=torch.uint8)))
    for views, count in STEPS.items():
        plain = partial(experiment, views, data=data, device=device)
        ways = {f"hand-written, {workers} workers": hand_written(plain("float32"), workers) for workers in WORKERS}
        ways |= {f"simssl, {precision}": ours(plain(precision)) for precision in ("float32", "bfloat16")}
        for steps in ways.values():
            seconds(steps, 3, device)
        rounds = [{way: seconds(steps, count, device) for way, steps in ways.items()} for _ in range(ROUNDS)]
        medians = {way: statistics.median(times[way] for times in rounds) for way in ways}
        reference = min(median for way, median in medians.items() if way.startswith("hand-written"))
        for way, median in medians.items():
            print(f"{views:5} views  {way:24} {1000 * median:8.2f} ms a step   ratio {reference / median:.2f}")


if __name__ == "__main__":
    main()
