"""Texts as words by their place in a vocabulary. N counts texts, L the words of the longest."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case: letters, digits, hyphens and apostrophes. All else only divides."""
    return re.findall(r"[\w'-]+", text.lower())


def vocabulary_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct words of the texts, sorted, behind "", which fills up short texts."""
    words: set[str] = set()
    for text in texts:
        words.update(words_of(text))
    return ("", *sorted(words))


def to_tokens(texts: Sequence[str], vocabulary: Sequence[str], length: int) -> Tensor:
    """Return the words of each text by their place in the vocabulary, int64 (N, length), filled up with 0.

    ValueError names a word that the vocabulary does not have, or a text of more words than `length`.
    """
    number_of = {word: i for i, word in enumerate(vocabulary)}
    tokens_NL = torch.zeros(len(texts), length, dtype=torch.int64)
    for tokens_L, text in zip(tokens_NL, texts, strict=True):
        words = words_of(text)
        if len(words) > length:
            raise ValueError(f"the text '{text}' has {len(words)} words, more than {length}")
        unknown = [word for word in words if word not in number_of]
        if unknown:
            raise ValueError(f"the word '{unknown[0]}' of the text '{text}' is not in the vocabulary")
        tokens_L[: len(words)] = torch.tensor([number_of[word] for word in words], dtype=torch.int64)
    return tokens_NL


def to_text(tokens_L: Tensor, vocabulary: Sequence[str]) -> str:
    """Return the words of a text (L,), joined by spaces."""
    return " ".join(vocabulary[token] for token in tokens_L.tolist() if token)
