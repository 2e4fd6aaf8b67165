"""Captions that are written from what is known of an image, in several wordings. N counts images, L words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from simssl.blocks.text import to_tokens, vocabulary_of, words_of


@dataclass(frozen=True)
class Grammar:
    """Templates such as "a {stroke} {digit}", and for each value of each name in them its wordings.

    `wordings["stroke"][2]` are those of the value 2. A wording may be empty. Which template and wordings an image has
    is fixed by its index.
    """

    templates: tuple[str, ...]
    wordings: Mapping[str, Sequence[tuple[str, ...]]]

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """All words that a caption may have, whatever the images, behind ""."""
        nothing = dict.fromkeys(self.wordings, "")
        texts = [template.format_map(nothing) for template in self.templates]
        for values in self.wordings.values():
            for wordings in values:
                texts += wordings
        return vocabulary_of(texts)

    @property
    def length(self) -> int:
        """Words that the longest caption may have, or a few more."""
        nothing = dict.fromkeys(self.wordings, "")
        length = max(len(words_of(template.format_map(nothing))) for template in self.templates)
        for values in self.wordings.values():
            length += max(len(words_of(wording)) for wordings in values for wording in wordings)
        return length

    def captions(self, values: Mapping[str, Tensor]) -> list[str]:
        """The captions of N images, by the values (N,) of each name."""
        columns = {name: values[name].tolist() for name in self.wordings}
        N = len(next(iter(columns.values())))
        chance_NC = _chances(N, 1 + len(columns))
        texts = []
        for i in range(N):
            first, *others = chance_NC[i]
            template = self.templates[first % len(self.templates)]
            chosen = {}
            for (name, column), chance in zip(columns.items(), others, strict=True):
                wordings = self.wordings[name][column[i]]
                chosen[name] = wordings[chance % len(wordings)]
            texts.append(" ".join(template.format_map(chosen).split()))
        return texts

    def tokens(self, values: Mapping[str, Tensor]) -> Tensor:
        """The captions of N images by the places of their words in the vocabulary, int64 (N, L)."""
        return to_tokens(self.captions(values), self.vocabulary, self.length)


def _chances(rows: int, columns: int) -> list[list[int]]:
    """Whole numbers of 32 bits that look random. A row is the same however many there are, and on all machines."""
    raw = np.random.PCG64(0).random_raw(rows * columns) >> np.uint64(32)
    return raw.reshape(rows, columns).tolist()


NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

HANDWRITING = Grammar(
    templates=(
        "a {stroke} {digit} {lean}",
        "a hand-written {digit}, {lean}, in {stroke} strokes",
        "the digit {digit} {lean}, written with a {stroke} pen",
        "{digit}: {stroke}, {lean}",
        "this is the number {digit}; its lines are {stroke}, and it is {lean}",
    ),
    wordings={
        "digit": [(name, str(number)) for number, name in enumerate(NAMES)],
        "stroke": (("thin", "fine", "light"), ("medium", "normal"), ("thick", "bold", "heavy")),
        "lean": (
            ("leaning to the left", "slanted left", "tilted to the left"),
            ("upright", "straight"),
            ("leaning to the right", "slanted right", "tilted to the right"),
        ),
    },
)
"""Captions of a hand-written digit and its style. Ours."""

UPRIGHT = 5.0
"""Degrees of slant either way that are called upright. Ours."""


def handwriting(digit_N: Tensor, measures: Mapping[str, Tensor], medium: tuple[float, float]) -> dict[str, Tensor]:
    """The values for HANDWRITING of digits and what `stroke_measures` says of them.

    `medium`: the lowest and the highest thickness that is neither thin nor thick, in pixels.
    """
    return {
        "digit": digit_N,
        "stroke": torch.bucketize(measures["thickness"], torch.tensor(medium)),
        "lean": torch.bucketize(measures["slant"], torch.tensor([-UPRIGHT, UPRIGHT])),
    }
