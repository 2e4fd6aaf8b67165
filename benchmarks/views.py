"""How long the views of a batch take, as a ratio to torchvision's transforms (v2) image by image.

Medians of seven, interleaved, after one warm-up, of 120 views of 3 x 64 x 64, one CPU thread; "cuda" beside it where
there is a device. Run it with: python benchmarks/views.py
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable

import torch
import torchvision
from torch import Tensor
from torchvision.transforms import v2

from simssl.experiment.settings import Blur, Crop, Jitter, ViewSettings
from simssl.training.views import Views

ROUNDS, VIEWS, SIDE = 7, 120, 64
JITTER = Jitter(brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2)
COLOUR_JITTER = v2.ColorJitter(0.8, 0.8, 0.8, 0.2)
CROP = Crop(scale=(0.6, 1.0))
RESIZED_CROP = v2.RandomResizedCrop(SIDE, (0.6, 1.0), antialias=True)
FLOAT = v2.ToDtype(torch.float32, scale=True)

PIPELINES: dict[str, tuple[ViewSettings, v2.Compose, int]] = {
    "crop": (ViewSettings(crop=CROP), v2.Compose([RESIZED_CROP, FLOAT]), SIDE),
    "crop of 128 x 128": (ViewSettings(crop=CROP, size=SIDE), v2.Compose([RESIZED_CROP, FLOAT]), 2 * SIDE),
    "jitter": (ViewSettings(jitter=JITTER), v2.Compose([COLOUR_JITTER, FLOAT]), SIDE),
    "blur": (
        ViewSettings(blur=Blur(probability=1.0)),
        v2.Compose([v2.GaussianBlur(7, (0.1, 2.0)), FLOAT]),
        SIDE,
    ),
    "the paper's colour views": (
        ViewSettings(crop=CROP, horizontal_flip=0.5, jitter=JITTER),
        v2.Compose([RESIZED_CROP, v2.RandomHorizontalFlip(), COLOUR_JITTER, FLOAT]),
        SIDE,
    ),
    "SimCLR's views": (
        ViewSettings(
            crop=CROP,
            horizontal_flip=0.5,
            jitter=JITTER.model_copy(update={"probability": 0.8}),
            grey=0.2,
            blur=Blur(),
        ),
        v2.Compose(
            [
                RESIZED_CROP,
                v2.RandomHorizontalFlip(),
                v2.RandomApply([COLOUR_JITTER], 0.8),
                v2.RandomGrayscale(0.2),
                v2.RandomApply([v2.GaussianBlur(7, (0.1, 2.0))], 0.5),
                FLOAT,
            ]
        ),
        SIDE,
    ),
}


def seconds(make: Callable[[], Tensor]) -> float:
    start = time.perf_counter()
    make().sum().item()
    return time.perf_counter() - start


def ours(settings: ViewSettings, images: Tensor) -> Callable[[], Tensor]:
    views, generator = Views(settings, tuple(images.shape[1:])), torch.Generator(images.device)
    return lambda: views.random_views(images, 1, generator)[0]


def main() -> None:
    torch.set_num_threads(1)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    print(
        f"torch {torch.__version__}, torchvision {torchvision.__version__} on {platform.system()} "
        f"{platform.machine()}, medians of {ROUNDS}"
    )
    for name, (settings, transforms, side) in PIPELINES.items():
        images = torch.randint(0, 256, (VIEWS, 3, side, side), dtype=torch.uint8)
        ways = {"torchvision": lambda x=images, f=transforms: torch.stack([f(image) for image in x])}
        ways |= {f"simssl, {device}": ours(settings, images.to(device)) for device in devices}
        for make in ways.values():
            seconds(make)
        rounds = [{way: seconds(make) for way, make in ways.items()} for _ in range(ROUNDS)]
        medians = {way: statistics.median(times[way] for times in rounds) for way in ways}
        for way, median in medians.items():
            print(f"{name:25} {way:13} {1000 * median:7.1f} ms   ratio {median / medians['torchvision']:.3f}")


if __name__ == "__main__":
    main()
