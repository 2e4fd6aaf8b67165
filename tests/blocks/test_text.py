"""Texts become words by their place in a vocabulary, and texts again."""

from __future__ import annotations

import pytest
import torch

from simssl.blocks.text import to_text, to_tokens, vocabulary_of

VOCABULARY = ("", "3", "a", "digit", "thin", "three")


def test_the_vocabulary_is_sorted_and_begins_with_what_fills_up() -> None:
    assert vocabulary_of(["A thin three.", "a digit, a 3"]) == VOCABULARY
    assert vocabulary_of([]) == ("",)


def test_tokens_are_places_in_the_vocabulary_filled_up_with_zero() -> None:
    tokens_NL = to_tokens(["a thin three", "A digit!", ""], VOCABULARY, 4)
    assert tokens_NL.dtype == torch.int64
    assert tokens_NL.tolist() == [[2, 4, 5, 0], [2, 3, 0, 0], [0, 0, 0, 0]]


def test_tokens_are_text_again() -> None:
    texts = ["a thin three", "a digit", ""]
    tokens_NL = to_tokens(texts, VOCABULARY, 3)
    assert [to_text(tokens_L, VOCABULARY) for tokens_L in tokens_NL] == texts


def test_an_unknown_word_is_named() -> None:
    with pytest.raises(ValueError, match="the word 'four' of the text 'a four' is not in the vocabulary"):
        to_tokens(["a three", "a four"], VOCABULARY, 4)


def test_a_text_of_too_many_words_is_named() -> None:
    with pytest.raises(ValueError, match="the text 'a thin three' has 3 words, more than 2"):
        to_tokens(["a thin three"], VOCABULARY, 2)
