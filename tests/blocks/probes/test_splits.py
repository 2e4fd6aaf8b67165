"""The fixed splits are stratified, complete, and never change."""

from __future__ import annotations

import pytest
import torch

from simssl.blocks.probes.splits import held_out_split, stratified_permutation

LABELS = torch.arange(1000) % 7


def test_permutation_is_complete_and_every_stretch_is_stratified() -> None:
    order = stratified_permutation(LABELS)
    assert torch.equal(order.sort().values, torch.arange(1000))
    for start in range(0, 1000, 100):
        counts = LABELS[order[start : start + 100]].bincount(minlength=7)
        assert bool(((counts - 100 / 7).abs() <= 2).all())


def test_permutation_is_the_same_for_ever() -> None:
    assert stratified_permutation(torch.arange(12) % 3).tolist() == [6, 5, 1, 9, 11, 7, 0, 8, 4, 3, 2, 10]


def test_within_a_class_the_order_is_random() -> None:
    order = stratified_permutation(torch.zeros(1000))
    correlation = torch.corrcoef(torch.stack([order.double(), torch.arange(1000.0).double()]))[0, 1]
    assert abs(correlation.item()) < 0.1


def test_last_tenth_is_held_out() -> None:
    fit, held = held_out_split(LABELS)
    assert (len(fit), len(held)) == (900, 100)
    assert not set(fit.tolist()) & set(held.tolist())


def test_a_chosen_validation_split_is_held_out_in_the_permutations_order() -> None:
    chosen = torch.arange(700, 1000, 3)
    fit, held = held_out_split(LABELS, chosen_V=chosen)
    assert held.sort().values.equal(chosen)
    assert torch.cat([fit, held]).sort().values.equal(torch.arange(1000))
    order = stratified_permutation(LABELS).tolist()
    assert fit.tolist() == [i for i in order if i not in set(chosen.tolist())]
    assert not held.equal(chosen)


def test_chosen_images_are_told_by_their_indices_alone() -> None:
    chosen_V = torch.tensor([3, 5])
    _, selected = held_out_split(LABELS, chosen_V=chosen_V)
    assert sorted(selected.tolist()) == [3, 5]
    with pytest.raises((IndexError, RuntimeError), match="int64"):
        held_out_split(LABELS, chosen_V=torch.zeros(len(LABELS), dtype=torch.bool))
