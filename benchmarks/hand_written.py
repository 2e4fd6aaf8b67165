"""The training loop that a user would write: torchvision's transforms, image by image, in a DataLoader; the same
networks and loss, and eager Adam in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from simssl.api import Objective
from simssl.experiment.settings import Adam, ViewSettings
from simssl.training.build import BuiltRun


class Views(Dataset[tuple[Tensor, int]]):
    """J views of each image (J, C, H, W), and its number; images are PIL's, as torchvision's data sets give them."""

    def __init__(self, images_NCHW: Tensor, J: int, views: ViewSettings) -> None:
        self.images_NHWC, self.J = images_NCHW.permute(0, 2, 3, 1).contiguous().numpy(), J
        self.transform, self.threshold = transform_of(views, images_NCHW.shape[-1]), views.finish.threshold

    def __len__(self) -> int:
        return len(self.images_NHWC)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = Image.fromarray(self.images_NHWC[index].squeeze())
        x_JCHW = torch.stack([self.transform(image) for _ in range(self.J)])
        return (x_JCHW if self.threshold is None else (x_JCHW > self.threshold).float()), index


def transform_of(views: ViewSettings, side: int) -> transforms.Compose:
    """Crop, flip and jitter by torchvision; ValueError for what else an experiment can ask for."""
    if views.vertical_flip or views.grey or views.blur or views.size or (views.jitter and views.jitter.probability < 1):
        raise ValueError("the hand-written loop crops, flips and always jitters, and nothing else")
    steps: list[Callable] = []
    if views.crop:
        steps.append(transforms.RandomResizedCrop(side, views.crop.scale, views.crop.ratio))
    if views.horizontal_flip:
        steps.append(transforms.RandomHorizontalFlip(views.horizontal_flip))
    if jitter := views.jitter:
        steps.append(transforms.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue))
    return transforms.Compose([*steps, transforms.ToTensor()])


def hand_written(built: BuiltRun, workers: int) -> Callable[[int], int]:
    """Return what trains the run's objective for a number of steps and returns that number.

    ValueError for what the loop has not: another optimiser than Adam, a teacher, a queue, clusters.
    """
    objective, device, generator = built.objective.train(), built.device, built.generator
    settings = built.experiment.training.optimizer
    for name in ("before_epoch", "after_step", "parameter_groups"):
        if getattr(type(objective), name) is not getattr(Objective, name):
            raise ValueError(f"the hand-written loop does nothing of {type(objective).__name__}.{name}")
    if not isinstance(settings, Adam):
        raise ValueError(f"the hand-written loop has Adam, not {settings.name}")
    optimizer = torch.optim.Adam(objective.parameters(), **settings.model_dump(exclude={"name"}))
    loader = DataLoader(
        Views(built.data.train.images, len(objective.views), built.experiment.views),
        built.images_per_step,
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

    def steps(count: int) -> int:
        for _ in range(count):
            x_BJCHW, index_B = next(batches)
            terms = objective(x_BJCHW.to(device, non_blocking=True), index_B.to(device), generator)
            loss = torch.stack(list(terms.loss.values())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return count

    return steps
