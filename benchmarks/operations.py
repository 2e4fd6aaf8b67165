"""The operations of a training step, part by part: what a small step on a GPU is bound by.

Counted is what torch dispatches and what writes memory, on the CPU; a view of a tensor is none. A call that works on
many tensors at once (`_foreach`, a fused optimiser) is one, as on a GPU. Some of them are several kernels there. The
numbers depend neither on the machine nor on the sizes. bfloat16 is counted also where the processor has no products of
it. Run it with: python benchmarks/operations.py
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import click
import machine
import torch
from random_images import run_of, trained, trainer_of

from simssl.api import Data, Modality, Split
from simssl.testing.operations import Operations
from simssl.training.build import BuiltRun

FILES = {
    "mnist": ("mnist_content.yaml", (1, 16, 16)),
    "fashion_mnist": ("fashion_mnist_content.yaml", (1, 16, 16)),
    "cifar10": ("cifar10_content.yaml", (3, 16, 16)),
    "celeba": ("celeba_style.yaml", (3, 16, 16)),
}
"""The experiment of each data set, which says views, networks and layout; the shape of images, which may be small."""

IMAGES = 240
VIEWS = 24
CAPTION = Modality(torch.randint(1, 8, (IMAGES, 4)), vocabulary=("", *"abcdefg"))
PARAMS = {
    "moco": ", batch_norm_splits: 6",  # as in cifar10_content.yaml; 12 images do not split into 8 parts
    "simvae": ", J: 4",
}
"""Parameters of objectives, which make a small step: the numbers do not depend on J."""
OF_CAPTION = ("clip", "mopoe")
LARS = ("training.optimizer={name: lars, lr: 0.1}",)

PARTS = ("views", "forward", "backward", "optimiser", "after", "records", "other")
"""`after` is what the objective does after a step: its teacher, its queue."""


class Counted(Operations):
    """Counts the operations within it by part and name."""

    def __init__(self) -> None:
        super().__init__()
        self.part = "other"
        self.counts: Counter[tuple[str, str]] = Counter()

    def note(self, name: str) -> None:
        self.counts[self.part, name] += 1

    def within(self, part: str, owner: Any, method: str) -> None:
        """Count what this method of the owner does as this part."""
        inner = getattr(owner, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            before, self.part = self.part, part
            try:
                return inner(*args, **kwargs)
            finally:
                self.part = before

        vars(owner)[method] = call

    def by_part(self) -> dict[str, int]:
        totals = dict.fromkeys(PARTS, 0)
        for (part, _), count in self.counts.items():
            totals[part] += count
        return totals


def count(data: str, objective: str, precision: str, settings: Sequence[str] = ()) -> Counted:
    """The operations of the third step of a run."""
    built = _run(data, objective, precision, settings)
    with patch("simssl.training.step.computed_in", lambda precision, device: precision):
        trainer = trainer_of(built)
    trainer.train_step()
    trainer.train_step()
    step = trainer.unit
    assert step is not None
    counted = Counted()
    counted.within("views", step, "_next_views")
    counted.within("backward", step, "_forward_and_backward")
    counted.within("forward", step.objective, "forward")
    counted.within("optimiser", step.optimizer, "step")
    counted.within("after", step.objective, "after_step")
    counted.within("records", step.window, "add")
    with counted:
        step()
    return counted


def _run(data: str, objective: str, precision: str, settings: Sequence[str]) -> BuiltRun:
    """The run of an objective on random images of the data set's shape, with the views and the networks of its file."""
    file, shape = FILES[data]
    changes = [
        f"objective={{name: {objective}{PARAMS.get(objective, '')}}}",
        f"training.batch_views={VIEWS}",
        f"training.precision={precision}",
        *settings,
    ]
    modalities = {}
    if objective in OF_CAPTION:
        modalities["caption"] = CAPTION
        changes.append("modalities={caption: {backbone: {name: text_transformer}}}")
    images = torch.randint(0, 256, (IMAGES, *shape), dtype=torch.uint8)
    return run_of(file, Data.of(Split(images, modalities=modalities)), changes, torch.device("cpu"))


@click.command()
@click.option("--data", multiple=True, type=click.Choice(tuple(FILES)), help="One or more; else all.")
@click.option("--objective", multiple=True, type=click.Choice(trained()), help="One or more; else all.")
@click.option("--precision", multiple=True, type=click.Choice(("float32", "bfloat16")), help="Else both.")
@click.option("--lars", is_flag=True, help="With LARS in place of the file's optimiser.")
@click.option("--names", is_flag=True, help="Each operation by its name, too.")
def main(
    data: tuple[str, ...], objective: tuple[str, ...], precision: tuple[str, ...], lars: bool, names: bool
) -> None:
    """Count the operations of a training step."""
    torch.set_num_threads(1)
    print(machine.about())
    print(f"{'':42}{'all':>7}" + "".join(f"{part:>11}" for part in PARTS))
    rows = itertools.product(data or FILES, objective or trained(), precision or ("float32", "bfloat16"))
    for row in rows:
        counted = count(*row, LARS if lars else ())
        totals = counted.by_part()
        numbers = "".join(f"{number:11}" for number in totals.values())
        print(f"{', '.join(row):42}{sum(totals.values()):7}{numbers}", flush=True)
        if names:
            for (part, name), number in sorted(counted.counts.items()):
                print(f"    {part:10} {number:5} {name}")


if __name__ == "__main__":
    main()
