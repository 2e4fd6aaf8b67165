"""kNN accuracy of SimCLR, MoCo, BYOL, Barlow Twins and SimSiam, by simssl and by lightly's own code.

Both sides train on the same 5,000 images of CIFAR-10 (500 a class), with the network, the batches, the number of
steps, the optimiser and the distribution of views in experiments/cifar10_lightly.yaml. lightly's side is its transform
in a DataLoader, its heads, losses, memory bank and averages, as in its benchmark for CIFAR-10 (`lightly_methods.py`).
Its MoCo is there once more, with keys that join its bank after both directions (`moco:keys_after`). Both sides are
measured by lightly's `knn_predict` (k 200, weights exp(cosine / 0.1)) on the test images, after the last step.

The network is a small one by default, so that a CPU can do it. lightly's is
    --backbone '{name: timm, model: resnet18, linear: false}' --latent-dim 512
Run it with: python benchmarks/accuracy_beside_lightly.py --data DIR
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import machine
import torch
import torch.nn.functional as F
from PIL import Image
from random_images import ALONE, EXPERIMENTS, steps_of
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from simssl.api import Split
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.training.build import BuiltRun, build_run, load_data
from simssl.training.machine.device import choose_device
from simssl.training.machine.precision import allow_tf32

FILE = EXPERIMENTS / "cifar10_lightly.yaml"
CLASSES = 10
NEIGHBOURS, TEMPERATURE = 200, 0.1
RATES = {"byol": {"lr": 0.06, "weight_decay": 5e-4}}
"""Of lightly's optimiser, where its loss is another multiple of the same."""


def settings_of(images: int, backbone: str, latent_dim: int, epochs: int, precision: str) -> tuple[str, ...]:
    changes = ("grid.seed=[0]", *ALONE[1:])
    return (
        *changes,
        f"dataset.per_class={images // CLASSES}",
        f"backbone={backbone}",
        f"latent_dim={latent_dim}",
        f"training.epochs={epochs}",
        f"training.precision={precision}",
    )


def experiment_of(method: str, seed: int, settings: Sequence[str]) -> Experiment:
    """The run of this method in the file, with this seed. A variant of lightly's code has the same."""
    name = method.split(":")[0]
    experiments = load_experiments(FILE, Registry(), (*settings, f"grid.seed=[{seed}]"))
    return next(experiment for experiment in experiments if experiment.objective.name == name)


# --- the two sides ---------------------------------------------------------------------------------------


def by_simssl(built: BuiltRun) -> nn.Module:
    """The encoder that our run trains."""
    take = steps_of(built)
    take(built.steps)
    encoder: nn.Module = built.objective.encoder
    return encoder


class Pictures(Dataset[tuple[list[Tensor], int]]):
    """Two views of each image, by lightly's transform."""

    def __init__(self, images_NCHW: Tensor, transform: Any) -> None:
        self.images_NHWC = images_NCHW.permute(0, 2, 3, 1).contiguous().numpy()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images_NHWC)

    def __getitem__(self, index: int) -> tuple[list[Tensor], int]:
        return self.transform(Image.fromarray(self.images_NHWC[index])), 0


def by_lightly(method: str, built: BuiltRun, seed: int, workers: int) -> nn.Module:
    """The encoder that lightly's code trains: as many epochs of as many steps, from a new encoder of the same kind."""
    from lightly.transforms import SimCLRTransform
    from lightly_methods import METHODS

    torch.manual_seed(seed)
    experiment = built.experiment
    encoder = built.objective.context.encoder(experiment.latent_dim)  # a new one: MoCo splits the batch norm of its own
    network = METHODS[method](encoder, experiment.latent_dim).to(built.device).train()
    crop = experiment.views.crop
    assert crop is not None
    smallest, _ = crop.scale
    transform = SimCLRTransform(input_size=32, cj_strength=0.5, gaussian_blur=0.0, min_scale=smallest, normalize=None)
    pictures = Pictures(built.data.train.images, transform)
    loader = DataLoader(pictures, built.images_per_step, shuffle=True, drop_last=True, num_workers=workers)
    settings = experiment.training.optimizer.model_dump(include={"lr", "momentum", "weight_decay"})
    optimizer = torch.optim.SGD(network.parameters(), **settings | RATES.get(experiment.objective.name, {}))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, built.steps)
    for _ in range(built.steps // len(loader)):
        for (x0_BCHW, x1_BCHW), _ in loader:
            loss = network(x0_BCHW.to(built.device), x1_BCHW.to(built.device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return encoder


def accuracy(encoder: nn.Module, built: BuiltRun) -> float:
    """lightly's kNN on the test images."""
    from lightly.utils.benchmarking import knn_predict

    test = built.data.test
    assert test is not None
    encoder.eval()
    with torch.no_grad():
        bank_ND, query_ND = (features(encoder, split, built) for split in (built.data.train, test))
        label_N = built.data.train.targets["class"].values.to(built.device)
        guess_NC = knn_predict(query_ND, bank_ND.T, label_N, CLASSES, NEIGHBOURS, TEMPERATURE)
    right_N = guess_NC[:, 0].cpu() == test.targets["class"].values
    return right_N.double().mean().item()


def features(encoder: nn.Module, split: Split, built: BuiltRun) -> Tensor:
    """The directions (N, D) of the representations of the images as they are."""
    batches = built.views.plain_batches(split.images, built.device)
    z_ND = torch.cat([encoder(x_BCHW).float() for x_BCHW in batches])
    return F.normalize(z_ND, dim=1)


# --- the table -------------------------------------------------------------------------------------------


def compared(method: str, by_side: dict[str, list[float]]) -> str:
    """A line: each side's mean and standard error, their difference, and whether it is within the bound."""
    texts, means, squares = [], [], []
    for side, accuracies in by_side.items():
        stderr = statistics.stdev(accuracies) / math.sqrt(len(accuracies)) if len(accuracies) > 1 else 0.0
        means.append(statistics.mean(accuracies))
        squares.append(stderr**2)
        texts.append(f"{side} {means[-1]:.4f} ± {stderr:.4f}")
    gap, error = means[1] - means[0], math.sqrt(sum(squares))
    verdict = "within" if abs(gap) <= max(0.01, 2 * error) else "NOT within"
    return f"{method:14} {texts[0]}   {texts[1]}   difference {gap:+.4f} ± {error:.4f}: {verdict} .01 or two errors"


@click.command()
@click.option("--data", default="data", type=click.Path(path_type=Path), help="The folder that CIFAR-10 lies in.")
@click.option("--method", "methods", multiple=True, help="All of them, without it.")
@click.option("--seed", "seeds", multiple=True, type=int, default=(0, 1, 2), show_default=True)
@click.option("--epochs", default=20, show_default=True)
@click.option("--images", default=5000, show_default=True)
@click.option("--backbone", default="{name: convnet}", show_default=True)
@click.option("--latent-dim", default=256, show_default=True)
@click.option("--precision", default="float32", show_default=True, help="Of our side; lightly's is float32.")
@click.option("--workers", default=1, show_default=True, help="Of lightly's DataLoader.")
@click.option("--device", default="auto", show_default=True)
def main(
    data: Path,
    methods: tuple[str, ...],
    seeds: tuple[int, ...],
    epochs: int,
    images: int,
    backbone: str,
    latent_dim: int,
    precision: str,
    workers: int,
    device: str,
) -> None:
    """Train both sides with each seed, and print the accuracies as they come, and a table."""
    try:
        from lightly_methods import METHODS
    except ModuleNotFoundError:
        sys.exit("this needs lightly: pip install lightly")
    on = choose_device(device)
    allow_tf32(True)
    print(f"{machine.about()}; {images:,} images, {epochs} epochs, {backbone}, {latent_dim} dimensions", flush=True)
    settings = settings_of(images, backbone, latent_dim, epochs, precision)
    registry = Registry()
    few = load_data(experiment_of("simclr", 0, settings).dataset, registry, data, lambda *_: None)
    table = []
    for method in methods or METHODS:
        by_side: dict[str, list[float]] = {"lightly": [], "simssl": []}
        for seed in seeds:
            for side, accuracies in by_side.items():
                built = build_run(experiment_of(method, seed, settings), registry, few, on)
                start = time.perf_counter()
                encoder = by_simssl(built) if side == "simssl" else by_lightly(method, built, seed, workers)
                seconds = time.perf_counter() - start
                accuracies.append(accuracy(encoder, built))
                line = {"method": method, "seed": seed, "side": side, "accuracy": accuracies[-1], "s": round(seconds)}
                print(json.dumps(line), flush=True)
        table.append(compared(method, by_side))
    print("\n".join(table))


if __name__ == "__main__":
    main()
