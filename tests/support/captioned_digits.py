"""A data set in one file: scikit-learn's digits with a caption of each, and its words as a vector."""

from __future__ import annotations

from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor

import simssl
from simssl.api import Data, Dataset, Modality, Progress, Split, Target
from simssl.blocks.text import to_tokens, vocabulary_of

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LENGTH = 5
STYLES = ("thin", "bold", "wide", "narrow")
VOCABULARY = vocabulary_of([*NAMES, *STYLES, "a digit"])


class CaptionedDigits(Dataset):
    """Digits of 8 x 8 pixels. A caption says which digit it is, how bold and how wide: `a bold narrow digit three`."""

    def load(self, root: Path, progress: Progress) -> Data:
        bunch = load_digits()
        levels_NHW = torch.from_numpy(bunch.images * (255 / 16))
        images_N1HW = levels_NHW.round().to(torch.uint8)[:, None]
        class_N = torch.from_numpy(bunch.target).long()
        order_N = torch.randperm(len(class_N), generator=torch.Generator().manual_seed(0))
        train_N, test_N = order_N[:1437], order_N[1437:]
        return Data.of(_split(images_N1HW[train_N], class_N[train_N]), _split(images_N1HW[test_N], class_N[test_N]))


def _split(images_N1HW: Tensor, class_N: Tensor) -> Split:
    ink_N = images_N1HW.float().mean((1, 2, 3))
    columns_NW = images_N1HW[:, 0].float().mean(1)
    position_W = torch.arange(8.0)
    share_NW = columns_NW / columns_NW.sum(1, keepdim=True)
    centre_N1 = (share_NW * position_W).sum(1, keepdim=True)
    width_N = (share_NW * (position_W - centre_N1).square()).sum(1)
    bold_N = (ink_N > 78).long()
    narrow_N = (width_N < 1.65).long()
    texts = []
    for i, label in enumerate(class_N.tolist()):
        texts.append(f"a {STYLES[bold_N[i]]} {STYLES[2 + narrow_N[i]]} digit {NAMES[label]}")
    caption = Modality(to_tokens(texts, VOCABULARY, LENGTH), vocabulary=VOCABULARY)
    words_NV = torch.zeros(len(class_N), len(VOCABULARY)).scatter_(1, caption.values, 1.0)
    attributes = Modality(words_NV, names=VOCABULARY)
    target = Target(class_N, tuple("0123456789"), "content")
    return Split(images_N1HW, {"class": target}, modalities={"caption": caption, "attributes": attributes})


@simssl.hookimpl
def simssl_dataset() -> type[Dataset]:
    return CaptionedDigits
