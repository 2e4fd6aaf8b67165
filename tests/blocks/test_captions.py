"""Captions: what they say is true, and how they say it depends on the image's index alone."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from simssl.blocks.captions import HANDWRITING, Grammar, handwriting
from simssl.blocks.text import to_text

COLOURS = Grammar(
    ("a {colour} {thing}", "see: {thing}, {colour}"),
    {"colour": (("red", "scarlet"), ("",)), "thing": (("house",), ("big tree", "shrub"))},
)


def test_the_vocabulary_is_that_of_all_captions_there_can_be() -> None:
    assert COLOURS.vocabulary == ("", "a", "big", "house", "red", "scarlet", "see", "shrub", "tree")
    every = torch.tensor(list(product(range(2), range(2)))).repeat(50, 1)
    said = {
        caption.replace(":", "").replace(",", "")
        for caption in COLOURS.captions(dict(zip(COLOURS.wordings, every.T, strict=True)))
    }
    assert {"a red house", "see house scarlet", "a big tree", "see shrub"} <= said
    assert {word for caption in said for word in caption.split()} == set(COLOURS.vocabulary) - {""}
    assert COLOURS.length == 4


def test_tokens_are_the_captions_words() -> None:
    values = {"colour": torch.tensor([0, 1, 0, 1]), "thing": torch.tensor([1, 1, 0, 0])}
    captions = COLOURS.captions(values)
    tokens_NL = COLOURS.tokens(values)
    assert tokens_NL.shape == (4, 4)
    for tokens_L, caption in zip(tokens_NL, captions, strict=True):
        assert to_text(tokens_L, COLOURS.vocabulary) == caption.replace(":", "").replace(",", "")


def test_a_wording_is_fixed_by_the_index() -> None:
    values = {"colour": torch.zeros(1000, dtype=torch.int64), "thing": torch.ones(1000, dtype=torch.int64)}
    captions = COLOURS.captions(values)
    assert captions == COLOURS.captions(values)
    assert captions[:100] == COLOURS.captions({name: value[:100] for name, value in values.items()})


@pytest.mark.parametrize("period", [2, 5, 10])
def test_a_wording_does_not_tell_the_class_of_classes_in_turn(period: int) -> None:
    """Images often come class by class; each class has every template as often as any other."""
    index_N = torch.arange(20_000)
    values = {"digit": index_N % 10, "stroke": 0 * index_N, "lean": 0 * index_N}
    captions = HANDWRITING.captions(values)
    for remainder in range(period):
        of_class = captions[remainder::period]
        thin = sum("thin" in caption for caption in of_class) / len(of_class)
        named = sum("hand-written" in caption for caption in of_class) / len(of_class)
        assert abs(thin - 1 / 3) < 0.05
        assert abs(named - 1 / 5) < 0.05


def test_handwriting_is_called_what_it_is() -> None:
    digit_N = torch.arange(9)
    measures = {
        "thickness": torch.tensor([1.0, 2.0, 3.0]).repeat(3),
        "slant": torch.tensor([-9.0, 0, 9]).repeat_interleave(3),
    }
    values = handwriting(digit_N, measures, (1.5, 2.5))
    thick = dict(enumerate(({"thin", "fine", "light"}, {"medium", "normal"}, {"thick", "bold", "heavy"})))
    lean = dict(enumerate(({"left"}, {"upright", "straight"}, {"right"})))
    for i, caption in enumerate(HANDWRITING.captions(values)):
        words = set(caption.replace(",", " ").replace(":", " ").replace(";", " ").split())
        assert words & set(HANDWRITING.wordings["digit"][i])
        for part, now in ((thick, i % 3), (lean, i // 3)):
            assert [number for number, known in part.items() if words & known] == [now]
