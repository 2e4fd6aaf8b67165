"""CelebA: 202,599 aligned faces of 178 x 218 pixels with 40 attributes each (Liu et al. 2015).

S is the side of the images, A counts the attributes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Dataset, Modality, Progress, Split, Target
from simssl.blocks.captions import Grammar
from simssl.blocks.images import ImageSource, cache_file, cached_pixels
from simssl.blocks.messages import listed

WIDTH = 178
"""The official pictures' width; one of another width is cropped in proportion."""
IMAGES = "img_align_celeba"
ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
TRAIN, VALID, TEST = 0, 1, 2
"""The parts, as the partition numbers them."""
COLOURS = {"Black_Hair": "black", "Blond_Hair": "blond", "Brown_Hair": "brown", "Gray_Hair": "grey"}
OFFICIAL = (
    *("5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose"),
    *("Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses"),
    *("Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache"),
    *("Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks"),
    *("Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick"),
    *("Wearing_Necklace", "Wearing_Necktie", "Young"),
)
"""The attributes, in the official file's order."""


CAPTIONS = Grammar(
    templates=(
        "a {age} {person} {hair}, {smile} {glasses} {hat} {beard}",
        "the face of a {age} {person}, {smile}, {glasses} {hat} {hair} {beard}",
        "this {person} is {age} and {smile}, {hair} {beard} {glasses} {hat}",
        "{person}, {age}, {smile}; {beard} {glasses} {hat} {hair}",
    ),
    wordings={
        "age": (("mature", "middle-aged"), ("young", "youthful")),
        "person": (("woman", "lady", "female"), ("man", "guy", "male")),
        "hair": (*((f"with {colour} hair", f"with {colour} locks") for colour in COLOURS.values()), ("",)),
        "smile": (("serious", "not smiling"), ("smiling", "cheerful")),
        "glasses": (("",), ("wearing glasses", "in eyeglasses")),
        "hat": (("",), ("wearing a hat", "in a hat")),
        "beard": (("with a beard", "bearded"), ("",)),
    },
)
"""Captions by a few of the attributes. Ours."""


class CelebA(Dataset):
    """CelebA in `celeba`: `img_align_celeba/*.jpg`, `list_attr_celeba.txt` and `list_eval_partition.txt`.

    The images that the partition lists, all or fewer, are decoded once into a cache. The official training and
    validation images are the training split, and evaluators select on the latter. Targets: `gender` (content);
    `hair` (black, blond, brown, grey, or other for none of these; no label for two or more), and the 40 attributes
    by their official names (style, but for `Male`, which is gender).
    """

    class Params(simssl.Params):
        size: int = Field(64, ge=8)
        "Side of the images in pixels. Source: the paper, 64."
        crop: int = Field(WIDTH, ge=16, le=WIDTH)
        """Side of the centred square that is kept of the 178 x 218 pixels. Ours: the largest, for the paper's release
        crops nothing before its random crops, and a smaller one loses the hair."""
        attributes: bool = simssl.added(False)
        "A modality `attributes`: the attributes as a vector of 0 and 1."
        captions: bool = simssl.added(False)
        "A modality `caption`: age, gender, hair, smile, glasses, hat and beard in several wordings."

    def load(self, root: Path, progress: Progress) -> Data:
        folder = root / "celeba"
        _require(folder)
        names, part_N = _partition(folder / PARTITION)
        _require_images(folder / IMAGES, names)
        attributes, has_AN = _attributes(folder / ATTRIBUTES, names)
        targets = _targets(attributes, has_AN)
        modalities = {}
        if self.params.attributes:
            modalities["attributes"] = Modality(has_AN.T.float().contiguous(), names=tuple(attributes))
        if self.params.captions:
            modalities["caption"] = _captions(targets)
        source = ImageSource(folder / IMAGES, names, self.params.size, self.params.crop / WIDTH)
        images_N3SS, digest = cached_pixels(cache_file(root, source), source, progress)
        trained = int((part_N < TEST).sum())
        validated = int((part_N == VALID).sum())
        whole = Split(images_N3SS, targets, modalities=modalities)
        train = _part(whole, slice(trained), digest)
        test = _part(whole, slice(trained, None), digest)
        validation = torch.arange(trained - validated, trained) if validated else None
        return Data.of(train, test if len(test) else None, validation=validation)

    @classmethod
    def example(cls, root: Path) -> None:
        """Twelve flat faces, ten for training, one for validation, one for test."""
        folder = root / "celeba"
        (folder / IMAGES).mkdir(parents=True, exist_ok=True)
        attributes = ["12", " ".join(OFFICIAL)]
        partition = []
        for i in range(12):
            name = f"{i + 1:06d}.jpg"
            Image.new("RGB", (178, 218), (20 * i, 100, 200)).save(folder / IMAGES / name)
            signs = []
            for a, attribute in enumerate(OFFICIAL):
                has = a % 12 == i or (attribute == "Male" and i % 2 == 1)
                signs.append("1" if has else "-1")
            attributes.append(f"{name} {' '.join(signs)}")
            partition.append(f"{name} {max(TRAIN, i - 9)}")
        (folder / ATTRIBUTES).write_text("\n".join([*attributes, ""]))
        (folder / PARTITION).write_text("\n".join([*partition, ""]))


def _require(folder: Path) -> None:
    """Raise FileNotFoundError, which says how to get what is missing, or ValueError for a file in a folder's stead."""
    if (folder / IMAGES).is_file():
        raise ValueError(f"{folder / IMAGES} is no folder; move it away, and unpack {IMAGES}.zip there")
    absent = [name for name in (IMAGES, ATTRIBUTES, PARTITION) if not (folder / name).exists()]
    if not absent:
        return
    if absent == [IMAGES] and (folder / f"{IMAGES}.zip").exists():
        remedy = f"unpack {IMAGES}.zip there"
    else:
        remedy = (
            "get them from https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (for non-commercial research only; "
            f"'In-The-Wild' is another set) and put them there, {IMAGES}.zip unpacked, or name the folder above "
            "celeba with --data"
        )
    raise FileNotFoundError(f"{folder} has no {', '.join(absent)}; {remedy}")


def _require_images(folder: Path, names: list[str]) -> None:
    """Raise FileNotFoundError if images that the partition lists are not in their folder."""
    files = set(os.listdir(folder))
    absent = [name for name in names if name not in files]
    if absent:
        raise FileNotFoundError(
            f"{folder} lacks {len(absent):,} of the {len(names):,} images that {PARTITION} lists, {absent[0]} first; "
            f"unpack {IMAGES}.zip again, or list fewer"
        )


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text; get it again") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path} is a folder; put the file of that name there instead") from error


def _partition(path: Path) -> tuple[list[str], np.ndarray]:
    """The images' names and parts (N,): training, validation and test images, each in the file's order."""
    parts: dict[str, int] = {}
    for number, line in enumerate(_lines(path), 1):
        row = line.split()
        if not row:
            continue
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise ValueError(f"{path}, line {number}, is not a file's name and 0, 1 or 2; get the file again")
        name, part = row
        if name in parts:
            raise ValueError(f"{path}, line {number}, lists {name} again; get the file again")
        parts[name] = int(part)
    part_N = np.array(list(parts.values()))
    if not (part_N == TRAIN).any():
        raise ValueError(f"{path} lists no training image; get the file again")
    order_N = np.argsort(part_N, kind="stable")
    names = list(parts)
    return [names[i] for i in order_N], part_N[order_N]


def _attributes(path: Path, names: list[str]) -> tuple[list[str], Tensor]:
    """The attributes' names, and which of them the named images have (A, N), 0 or 1."""
    lines = _lines(path)
    attributes = lines[1].split() if len(lines) > 1 else []
    lacking = set(OFFICIAL) - set(attributes)
    if lacking:
        raise ValueError(f"{path} has no attribute {listed(sorted(lacking))} in its second line; get it again")
    rows = {}
    for number, line in enumerate(lines[2:], 3):
        if line.strip():
            name, row = _row(line, len(attributes), f"{path}, line {number}")
            rows[name] = row
    absent = [name for name in names if name not in rows]
    if absent:
        raise ValueError(
            f"{path} has no line for {len(absent):,} of the {len(names):,} images that {PARTITION} lists, {absent[0]} "
            "first; get the file again"
        )
    content = b"".join(rows[name] for name in names)
    has_NA = np.frombuffer(content, np.uint8).reshape(len(names), len(attributes))
    return attributes, torch.from_numpy(has_NA.T.astype(np.int64))


def _row(line: str, length: int, where: str) -> tuple[str, bytes]:
    """An image's name and a byte of 0 or 1 for each attribute; `where` is the line, for the errors."""
    name, *signs = line.split()
    if len(signs) != length:
        raise ValueError(f"{where}, has {len(signs)} values for the {length} attributes; get the file again")
    wrong = set(signs) - {"1", "-1"}
    if wrong:
        raise ValueError(f"{where}, has '{min(wrong)}' where 1 or -1 is wanted; get the file again")
    return name, bytes([sign == "1" for sign in signs])


def _targets(attributes: list[str], has_AN: Tensor) -> dict[str, Target]:
    has = dict(zip(attributes, has_AN, strict=True))
    hair_N = _hair(torch.stack([has[name] for name in COLOURS]))
    targets = {
        "gender": Target(has["Male"], ("female", "male"), "content"),
        "hair": Target(hair_N, (*COLOURS.values(), "other"), "style"),
    }
    for name, has_N in has.items():
        targets[name] = Target(has_N, ("no", "yes"), "content" if name == "Male" else "style")
    return targets


def _hair(has_4N: Tensor) -> Tensor:
    """The one colour that an image has, 4 (other) if it has none, -1 if it has several: (N,)."""
    count_N = has_4N.sum(0)
    colour_N = torch.where(count_N == 0, len(has_4N), has_4N.argmax(0))
    return torch.where(count_N > 1, -1, colour_N)


def _captions(targets: dict[str, Target]) -> Modality:
    hair_N = targets["hair"].values
    values = {
        "age": targets["Young"].values,
        "person": targets["Male"].values,
        "hair": torch.where(hair_N < 0, len(COLOURS), hair_N),
        "smile": targets["Smiling"].values,
        "glasses": targets["Eyeglasses"].values,
        "hat": targets["Wearing_Hat"].values,
        "beard": targets["No_Beard"].values,
    }
    return Modality(CAPTIONS.tokens(values), vocabulary=CAPTIONS.vocabulary)


def _part(whole: Split, span: slice, digest: str) -> Split:
    """The images of a span, with what is known of them."""
    targets = {name: replace(target, values=target.values[span]) for name, target in whole.targets.items()}
    modalities = {name: replace(known, values=known.values[span]) for name, known in whole.modalities.items()}
    return Split(whole.images[span], targets, digest=f"{digest} {span}", modalities=modalities)


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return CelebA
