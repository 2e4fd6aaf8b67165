"""A user's own images: a folder with one folder a class in it, or images without labels."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images import Source, cache_file, pixels
from simssl.blocks.splits import held_out

SUFFIXES = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"))
SPLITS = ("train", "test")


class ImageFolder(Dataset):
    """The images below a folder, upright as their EXIF says, in RGB, as squares of `size` pixels.

    Its folders are the classes (target `class`), with all that lies in them; without folders, or with
    `labels: false`, there is no target. Where it has the folders `train` and `test`, these are the splits, each as
    above; else the last tenth of a fixed permutation, stratified by class, is the test split. Files that are hidden,
    or no images by their names, are left out. The images are decoded once into a cache, anew when a file changes.
    """

    class Params(simssl.Params):
        path: str = Field(examples=["photos"])
        "The folder, as seen from the folder of the data sets (--data); or an absolute path."
        size: int = Field(64, ge=8)
        "Side in pixels: the shorter side is resized to it, and the middle is kept. Ours: 64, as CelebA in the paper."
        labels: bool = True
        "Whether folders are classes; with false all images are taken, however deep they lie, without labels."

    def load(self, root: Path, progress: Progress) -> Data:
        folder = root / self.params.path
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder; 'path' is seen from --data, or absolute")
        official = all((folder / split).is_dir() for split in SPLITS)
        names = [name for split in (SPLITS if official else (".",)) for name in _find(folder, split)]
        labels_N, classes = _classes(names, folder, depth=int(official)) if self.params.labels else (None, ())
        train_N, test_N = _split(names, labels_N, official)
        if not len(train_N) or not len(test_N):
            raise ValueError(f"{folder} has {len(train_N)} training and {len(test_N)} test images; both need one")
        order_N = torch.cat([train_N, test_N])
        source = Source(folder, [names[i] for i in order_N.tolist()], self.params.size)
        images_N3SS, digest = pixels(cache_file(root, source), source, progress)
        splits = (
            Split(images_N3SS[span], _targets(labels_N, classes, order_N[span]), digest=f"{digest} {span}")
            for span in (slice(len(train_N)), slice(len(train_N), None))
        )
        return Data.of(*splits)

    @classmethod
    def example(cls, root: Path) -> None:
        """Six images each of two classes: colour, grey, CMYK, palette, 16 bits, and one lying on its side."""
        for label, level in (("bright", 200), ("dark", 50)):
            folder = root / "photos" / label
            folder.mkdir(parents=True, exist_ok=True)
            colour = Image.new("RGB", (80, 60), (level, level, 100))
            colour.save(folder / "colour.jpg")
            colour.convert("L").save(folder / "grey.png")
            colour.convert("CMYK").save(folder / "print.jpg")
            colour.convert("P").save(folder / "palette.gif")
            Image.new("I;16", (60, 90), level * 256).save(folder / "deep.png")
            turned = Image.Exif()
            turned[0x0112] = 6
            colour.save(folder / "turned.jpg", exif=turned)
        (root / "photos" / "notes.txt").write_text("where they were taken\n")


def _find(folder: Path, below: str) -> list[str]:
    """The images' names as seen from the folder, in a fixed order; how many other files there are is told."""
    top = str(folder / below)
    files = [Path(file).relative_to(folder).as_posix() for file in _files(top, frozenset((os.path.realpath(top),)))]
    images = sorted(name for name in files if PurePosixPath(name).suffix.lower() in SUFFIXES)
    if others := sorted(set(files) - set(images)):
        said = f"{folder}: {len(others):,} files that are no images by their names are left out, {others[0]} first"
        logging.getLogger("simssl").info(said)
    return images


def _files(place: str, passed: frozenset[str]) -> Iterator[str]:
    """All files below that are not hidden, through links too, unless they lead back to a folder that is `passed`."""
    try:
        with os.scandir(place) as entries:
            seen = [entry for entry in entries if not entry.name.startswith(".")]
        folders = {entry.path for entry in seen if entry.is_dir()}
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}); mend it or take it away") from error
    for entry in seen:
        if entry.path not in folders:
            yield entry.path
        elif (real := os.path.realpath(entry.path)) not in passed:
            yield from _files(entry.path, passed | {real})


def _classes(names: list[str], folder: Path, depth: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """The labels (N,) and classes, by the folder at this depth; none if every image lies above."""
    parts = [PurePosixPath(name).parts for name in names]
    loose = [name for name, part in zip(names, parts, strict=True) if len(part) == depth + 1]
    if len(loose) == len(names):
        return None, ()
    if loose:
        raise ValueError(
            f"{folder} has images beside the folders of its classes, {loose[0]} first; move them into one, or set "
            "'labels: false'"
        )
    classes = tuple(sorted({part[depth] for part in parts}))
    return torch.tensor([classes.index(part[depth]) for part in parts]), classes


def _split(names: list[str], labels_N: Tensor | None, official: bool) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the test images, each in the order of the names."""
    if official:
        index_N = torch.arange(len(names))
        trained_N = torch.tensor([name.startswith(f"{SPLITS[0]}/") for name in names], dtype=torch.bool)
        return index_N[trained_N], index_N[~trained_N]
    train_N, test_N = held_out(torch.zeros(len(names)) if labels_N is None else labels_N)
    return train_N.sort().values, test_N.sort().values


def _targets(labels_N: Tensor | None, classes: tuple[str, ...], index_N: Tensor) -> dict[str, Target]:
    return {} if labels_N is None else {"class": Target(labels_N[index_N], classes, "content")}


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return ImageFolder
