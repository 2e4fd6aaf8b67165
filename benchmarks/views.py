"""How long random views take: PIL's and torchvision's tensor transforms image by image, kornia's, and ours.

Microseconds of one core a view, and in brackets how many times as fast as PIL: medians of nine rounds in which each way
is measured once, after one to warm up, on five batches of 120 views, of 512 where it says so. What has a device of its
own ("cuda") is measured by the wall clock. All have the memory that a run has (what is freed is kept). kornia's column
is there where it is installed. Run it with: python benchmarks/views.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import machine
import torch
from torch import Tensor
from torchvision import transforms as v1
from torchvision.transforms import v2

from simssl.experiment.settings import Blur, Crop, Jitter, ViewSettings
from simssl.training.machine.host_memory import HostMemory
from simssl.training.views import Views

try:
    import kornia
    import kornia.augmentation as K
except ImportError:
    kornia = None

ROUNDS, BATCHES = 9, 5
SCALE, STRENGTHS = (0.6, 1.0), (0.8, 0.8, 0.8, 0.2)
CROP = Crop(scale=SCALE)
JITTER = Jitter(**dict(zip(("brightness", "contrast", "saturation", "hue"), STRENGTHS, strict=True)))


@dataclass(frozen=True)
class Pipeline:
    """Views of `side` pixels of images of `source` pixels: what is drawn, in the order in which it is done."""

    name: str
    side: int
    source: int
    views: int = 120
    crop: bool = False
    flip: float = 0.0
    jitter: float = 0.0
    grey: float = 0.0
    blur: float = 0.0

    @property
    def kernel(self) -> int:
        return 2 * (self.side // 10 // 2) + 1

    def settings(self) -> ViewSettings:
        return ViewSettings(
            size=self.side,
            crop=CROP if self.crop else None,
            horizontal_flip=self.flip,
            jitter=JITTER.model_copy(update={"probability": self.jitter}) if self.jitter else None,
            grey=self.grey,
            blur=Blur(kernel=self.kernel, probability=self.blur) if self.blur else None,
        )

    def torchvision(self, api) -> Iterator[Callable]:
        """The transforms of torchvision's first interface (which is the faster one on PIL images) or its second."""

        def sometimes(transform: Callable, probability: float) -> Callable:
            return transform if probability == 1 else api.RandomApply([transform], probability)

        if self.crop:
            yield api.RandomResizedCrop(self.side, SCALE, antialias=True)
        if self.flip:
            yield api.RandomHorizontalFlip(self.flip)
        if self.jitter:
            yield sometimes(api.ColorJitter(*STRENGTHS), self.jitter)
        if self.grey:
            yield api.RandomGrayscale(self.grey)
        if self.blur:
            yield sometimes(api.GaussianBlur(self.kernel, (0.1, 2.0)), self.blur)

    def kornia(self) -> Iterator[Callable]:
        if self.crop:
            yield K.RandomResizedCrop((self.side, self.side), SCALE)
        if self.flip:
            yield K.RandomHorizontalFlip(self.flip)
        if self.jitter:
            yield K.ColorJitter(*STRENGTHS, p=self.jitter)
        if self.grey:
            yield K.RandomGrayscale(p=self.grey)
        if self.blur:
            yield K.RandomGaussianBlur((self.kernel, self.kernel), (0.1, 2.0), p=self.blur)


def pipelines(side: int) -> Iterator[Pipeline]:
    yield Pipeline("crop, flip", side, side, crop=True, flip=0.5)
    yield Pipeline("jitter", side, side, jitter=1.0)
    yield Pipeline("blur", side, side, blur=1.0)
    yield Pipeline("crop, flip, jitter", side, side, crop=True, flip=0.5, jitter=1.0)
    yield Pipeline("SimCLR's: and grey, blur", side, side, crop=True, flip=0.5, jitter=0.8, grey=0.2, blur=0.5)


def ways(pipeline: Pipeline, devices: list[str]) -> dict[str, Callable[[], Tensor]]:
    """Return what makes a batch of views, by the name of its column."""
    images_MCHW = torch.randint(0, 256, (pipeline.views, 3, pipeline.source, pipeline.source), dtype=torch.uint8)
    pictures = [v1.functional.to_pil_image(image_CHW) for image_CHW in images_MCHW]
    on_pil = v1.Compose([*pipeline.torchvision(v1), v1.ToTensor()])
    on_tensor = v2.Compose([*pipeline.torchvision(v2), v2.ToDtype(torch.float32, scale=True)])
    makes = {
        "PIL": lambda: torch.stack([on_pil(picture) for picture in pictures]),
        "torchvision": lambda: torch.stack([on_tensor(image_CHW) for image_CHW in images_MCHW]),
    }
    for device in devices:
        mark = "" if device == "cpu" else f" {device}"
        images = images_MCHW.to(device)
        if kornia:
            sequence = torch.nn.Sequential(*pipeline.kornia())
            makes[f"kornia{mark}"] = lambda images=images, sequence=sequence: sequence(images.float() / 255)
        views, generator = Views(pipeline.settings(), tuple(images.shape[1:])), torch.Generator(device)
        makes[f"simssl{mark}"] = lambda images=images, v=views, g=generator: v.random_views(images, 1, g)[0]
    return makes


def microseconds(name: str, make: Callable[[], Tensor], views: int) -> float:
    clock = time.perf_counter if name.endswith("cuda") else time.process_time
    start = clock()
    for _ in range(BATCHES):
        make().sum().item()
    return 1e6 * (clock() - start) / (BATCHES * views)


def main() -> None:
    torch.set_num_threads(1)
    HostMemory(torch.device("cpu")).keep()  # as in training
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    if not kornia:
        print("kornia is not installed, and simssl does not need it; for its column: pip install kornia")
    print(machine.about("torchvision", "pillow", *(["kornia"] if kornia else [])))
    print("microseconds of one core a view (times PIL's speed)")
    others = (
        Pipeline("crop, flip, jitter of 512", 32, 32, views=512, crop=True, flip=0.5, jitter=1.0),
        Pipeline("crop of 128 x 128, flip", 64, 128, crop=True, flip=0.5),
    )
    for number, pipeline in enumerate([*pipelines(32), *pipelines(64), *others]):
        makes, views = ways(pipeline, devices), pipeline.views
        if number == 0:
            print(f"{'views':38}" + "".join(f"{name:>17}" for name in makes))
        for name, make in makes.items():
            microseconds(name, make, views)
        rounds = [{name: microseconds(name, make, views) for name, make in makes.items()} for _ in range(ROUNDS)]
        medians = {name: statistics.median(times[name] for times in rounds) for name in makes}
        columns = "".join(f"{median:9.1f} ({medians['PIL'] / median:5.1f})" for median in medians.values())
        print(f"3 x {pipeline.side} x {pipeline.side}: {pipeline.name:25}{columns}")


if __name__ == "__main__":
    main()
