"""A user's own images: a folder with one folder a class in it, or images without labels."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from pydantic import Field

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images.cache import cache_file, cache_folder, pixels
from simssl.blocks.images.decoding import Source
from simssl.blocks.images.files import entries, find
from simssl.blocks.messages import listed
from simssl.blocks.probes.splits import held_out_split

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""The splits by the names of their folders, in small letters."""


class ImageFolder(Dataset):
    """The images below a folder, upright as their EXIF says, in RGB, as squares of `size` pixels.

    Its folders are the classes (target `class`), with all that lies in them, links followed; without folders, or
    with `labels: false`, there is no target. A folder `train` alone, or beside `test` or `val` (or `valid`, or
    `validation`), makes these the splits, each as above; validation images are part of the training split, and
    evaluators select on them. Without `test` the last tenth of a fixed permutation of the training images,
    stratified by class, is the test split. Files that are hidden, or no images by their names, are left out. The
    images are decoded once into a cache, anew when a file changes.
    """

    class Params(simssl.Params):
        path: str = Field(examples=["photos"])
        "The folder, as seen from the folder of the data sets (--data); or an absolute path, which may begin with ~."
        size: int = Field(64, ge=8)
        "Side in pixels: the shorter side is resized to it, and the middle is kept. Ours: 64, as CelebA in the paper."
        labels: bool = True
        "Whether folders are classes; with false all images are taken, however deep they lie, without labels."

    def load(self, root: Path, progress: Progress) -> Data:
        folder = root / os.path.expanduser(self.params.path)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is no folder; 'path' is seen from --data, or absolute")
        passed = frozenset(os.path.realpath(place) for place in (folder, cache_folder(root)))
        places = _places(folder, passed)
        found = {split: find(folder, place, passed) for split, place in places.items()}
        class_of = _classes(folder, places, found) if self.params.labels else {}
        train, validation, test = (found.get(split, []) for split in ("train", "validation", "test"))
        if "test" not in found:
            train, test = _parted(folder / places["train"], train, class_of)
        source = Source(folder, [*train, *validation, *test], self.params.size)
        images_N3SS, digest = pixels(cache_file(root, source), source, progress)
        trained = len(train) + len(validation)
        splits = (
            Split(images_N3SS[span], _targets(source.names[span], class_of), digest=f"{digest} {span}")
            for span in (slice(trained), slice(trained, None))
        )
        return Data.of(*splits, validation=torch.arange(len(train), trained) if validation else None)

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


def _places(folder: Path, passed: frozenset[str]) -> dict[str, str]:
    """The folder of each split, or of all images where there are no such folders; what lies beside them is told."""
    there = entries(folder, passed)
    folders = [name for name, real in there.items() if real]
    named = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    places = {split: name for name, split in named.items()}
    if len(places) < 2 and (len(named) < len(folders) or "train" not in places):
        return {"train": ""}
    if double := [name for name, split in named.items() if places[split] != name]:
        kept = places[named[double[0]]]
        raise ValueError(f"{folder} has both {double[0]} and {kept}, which are one split; keep one of them")
    if "train" not in places:
        raise ValueError(f"{folder} has {' and '.join(named)} and no folder train; put the training images there")
    if others := [name for name in there if name not in named]:
        _say(f"{folder}: left out, beside the folders {', '.join(named)}: {listed(others)}")
    if "test" not in places:
        _say(f"{folder} has no folder test: the last tenth of {places['train']} is the test split")
    return places


def _say(sentence: str) -> None:
    logging.getLogger("simssl").info(sentence)


def _classes(folder: Path, places: dict[str, str], found: dict[str, list[str]]) -> dict[str, str]:
    """The class of each image by name: the folder that it lies in below its split's; none if there are no folders."""
    depth = 1 if places["train"] else 0
    parts = {name: PurePosixPath(name).parts for names in found.values() for name in names}
    loose = [name for name, part in parts.items() if len(part) == depth + 1]
    if len(loose) == len(parts):
        return {}
    if loose:
        raise ValueError(
            f"{folder} has images beside the folders of its classes, {loose[0]} first; move them into one, or set "
            "'labels: false'"
        )
    trained = {parts[name][depth] for name in found["train"]}
    if foreign := [part for part in parts.values() if part[depth] not in trained]:
        raise ValueError(
            f"{folder.joinpath(*foreign[0][:2])} is a class that {folder / places['train']} lacks; add it there, take "
            "it away, or set 'labels: false'"
        )
    return {name: part[depth] for name, part in parts.items()}


def _parted(folder: Path, names: list[str], class_of: dict[str, str]) -> tuple[list[str], list[str]]:
    """The training and the test images of those that no folder parts, each in the order of the names."""
    if len(names) == 1:
        raise ValueError(f"{folder} has one image; at least two are needed, one to train and one to test on")
    targets = _targets(names, class_of)
    fit_N, held_N = held_out_split(targets["class"].values if targets else torch.zeros(len(names)))
    train, test = ([names[i] for i in index_N.sort().values.tolist()] for index_N in (fit_N, held_N))
    return train, test


def _targets(names: Sequence[str], class_of: dict[str, str]) -> dict[str, Target]:
    if not class_of:
        return {}
    classes = tuple(sorted(set(class_of.values())))
    number = {name: i for i, name in enumerate(classes)}
    return {"class": Target(torch.tensor([number[class_of[name]] for name in names]), classes, "content")}


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return ImageFolder
