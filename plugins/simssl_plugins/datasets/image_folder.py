"""A user's own images: a folder with one folder a class in it, or images without labels.

S is the side of the images.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import torch
from PIL import Image
from pydantic import Field

import simssl
from simssl.api import Data, Dataset, Progress, Split, Target
from simssl.blocks.images import (
    ImageSource,
    cache_file,
    cache_folder,
    cached_pixels,
    find_images,
    folder_entries,
)
from simssl.blocks.messages import listed
from simssl.blocks.probes import held_out_split

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
"""The splits by the names of their folders, in small letters."""


class ImageFolder(Dataset):
    """The images below a folder, upright as their EXIF says, in RGB, as squares of `size` pixels.

    Its folders are the classes (target `class`), with all that lies in them, links followed; without folders, or
    with `labels: false`, there is no target. A folder `train` alone, or beside `test` or `val` (or `valid`, or
    `validation`), makes these the splits, each as above; validation images are part of the training split, and
    evaluators select on them. Without `test` the last tenth of a fixed permutation of the training images,
    stratified by class, is the test split. Left out are files that are hidden, or no images by their names, and folders
    that systems make, such as `@eaDir` and `__MACOSX`. The images are decoded once into a cache, anew when a file
    changes.
    """

    class Params(simssl.Params):
        path: str = Field(examples=["photos"])
        "The folder, as seen from the folder of the data sets (--data); or an absolute path, which may begin with ~."
        size: int = Field(64, ge=8)
        "Side in pixels: the shorter side is resized to it, and the middle is kept. Ours: 64, as CelebA in the paper."
        labels: bool = True
        "Folders are classes; with false all images are taken, however deep they lie, without labels."

    def load(self, root: Path, progress: Progress) -> Data:
        folder = root / os.path.expanduser(self.params.path)
        if not folder.is_dir():
            raise FileNotFoundError(self._no_folder(folder, root))
        passed = frozenset({os.path.realpath(folder), os.path.realpath(cache_folder(root))})
        folders = _split_folders(folder, passed)
        names = {split: find_images(folder, below, passed) for split, below in folders.items()}
        class_of = _classes(folder, folders["train"], names) if self.params.labels else {}
        if class_of:
            _tell_of_empty_folders(folder, folders, names, passed)
        train = names["train"]
        validation = names.get("validation", [])
        if "test" in names:
            test = names["test"]
        else:
            train, test = _parted(folder / folders["train"], train, class_of)
        source = ImageSource(folder, [*train, *validation, *test], self.params.size)
        images_N3SS, digest = cached_pixels(cache_file(root, source), source, progress)

        def split_of(span: slice) -> Split:
            targets = _targets(source.names[span], class_of)
            return Split(images_N3SS[span], targets, digest=f"{digest} {span}")

        trained = len(train) + len(validation)
        validation_N = torch.arange(len(train), trained) if validation else None
        return Data.of(split_of(slice(trained)), split_of(slice(trained, None)), validation=validation_N)

    def _no_folder(self, folder: Path, root: Path) -> str:
        """The sentence about a folder that is not there; it names the one that `path` is from here, if there is one."""
        here = Path(self.params.path).resolve()
        if here.is_dir():
            return f"{folder} is no folder: 'path' is seen from {root} (--data); of {here}, write the whole path"
        return f"{folder} is no folder; 'path' is seen from {root} (--data), or absolute"

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


def _split_folders(folder: Path, passed: frozenset[str]) -> dict[str, str]:
    """The folder's name of each split, or "" for "train" alone where there are no such folders.

    The log says what lies beside them.
    """
    entries = folder_entries(folder, passed)
    folders = [name for name, real in entries.items() if real]
    split_of = {name: SPLITS[name.lower()] for name in folders if name.lower() in SPLITS}
    folder_of = {split: name for name, split in split_of.items()}
    has_classes = len(split_of) < len(folders) or "train" not in folder_of
    if len(folder_of) < 2 and has_classes:
        return {"train": ""}
    for name, split in split_of.items():
        if folder_of[split] != name:
            raise ValueError(f"{folder} has both {name} and {folder_of[split]}, which are one split; keep one of them")
    if "train" not in folder_of:
        raise ValueError(f"{folder} has {' and '.join(split_of)} and no folder train; put the training images there")
    others = [name for name in entries if name not in split_of]
    if others:
        _say(f"{folder}: left out, beside the folders {', '.join(split_of)}: {listed(others)}")
    if "test" not in folder_of:
        _say(f"{folder} has no folder test: the last tenth of {folder_of['train']} is the test split")
    return folder_of


def _say(sentence: str) -> None:
    logging.getLogger("simssl").info(sentence)


def _classes(folder: Path, train_folder: str, names: dict[str, list[str]]) -> dict[str, str]:
    """The class of each image, by the image's name: the folder that it lies in below its split's.

    `names` are the images of each split. The result is empty if there are no folders. A class is spelled as in train.
    """
    depth = 1 if train_folder else 0
    parts = {}
    for split_names in names.values():
        for name in split_names:
            parts[name] = PurePosixPath(name).parts
    loose = [name for name, part in parts.items() if len(part) == depth + 1]
    if len(loose) == len(parts):
        return {}
    if loose:
        raise ValueError(
            f"{folder} has images beside the folders of its classes, {loose[0]} first; move them into one, or set "
            "'labels: false'"
        )
    spelling_of: dict[str, str] = {}
    for name in names["train"]:
        trained = parts[name][depth]
        spelling_of.setdefault(_composed(trained), trained)
    class_of = {}
    for name, part in parts.items():
        spelling = spelling_of.get(_composed(part[depth]))
        if spelling is None:
            raise ValueError(
                f"{folder.joinpath(*part[:2])} is a class that {folder / train_folder} lacks; add it there, take it "
                "away, or set 'labels: false'"
            )
        class_of[name] = spelling
    return class_of


def _composed(name: str) -> str:
    """The name in Unicode's composed form. macOS writes an accent as a letter of its own, other systems do not."""
    return unicodedata.normalize("NFC", name)


def _tell_of_empty_folders(
    folder: Path, folders: dict[str, str], names: dict[str, list[str]], passed: frozenset[str]
) -> None:
    """Say which folders, among those of the classes, have no images."""
    empty = []
    for split, below in folders.items():
        used = {PurePosixPath(name).relative_to(below).parts[0] for name in names[split]}
        for name, real in folder_entries(folder / below, passed).items():
            if real is not None and name not in used:
                empty.append(os.path.join(below, name))
    if empty:
        _say(f"{folder}: left out, folders without images: {listed(empty)}")


def _parted(folder: Path, names: list[str], class_of: dict[str, str]) -> tuple[list[str], list[str]]:
    """The training and the test images of those that no folder parts, each in the order of the names."""
    if len(names) == 1:
        raise ValueError(f"{folder} has one image; at least two are needed, one to train and one to test on")
    targets = _targets(names, class_of)
    class_N = targets["class"].values if targets else torch.zeros(len(names))
    train_N, test_N = held_out_split(class_N)
    train = [names[i] for i in train_N.sort().values.tolist()]
    test = [names[i] for i in test_N.sort().values.tolist()]
    return train, test


def _targets(names: Sequence[str], class_of: dict[str, str]) -> dict[str, Target]:
    if not class_of:
        return {}
    classes = tuple(sorted(set(class_of.values())))
    number_of = {name: i for i, name in enumerate(classes)}
    class_N = torch.tensor([number_of[class_of[name]] for name in names])
    return {"class": Target(class_N, classes, "content")}


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return ImageFolder
