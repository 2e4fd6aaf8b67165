"""Positives from the data: the J views of an image come from images that share something with it.

N counts images, M those that are drawn for, K the images of each: itself, and K - 1 others of its group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from simssl.api import Data, Split, Target
from simssl.blocks.groups import group_numbers, shared_labels
from simssl.blocks.messages import listed
from simssl.errors import UserError


def groups_of(split: Split, share: Sequence[str]) -> Tensor:
    """Return the number (N,) of each image's group. UserError if a name is no target with classes, and no group."""
    try:
        return group_numbers(shared_labels(split, share))
    except ValueError as error:
        raise UserError(f"positives.share: {error}") from error


def with_roles(data: Data, share: Sequence[str]) -> Data:
    """Return the data, with the targets that are shared as content, and all others as style."""
    train = _split_with_roles(data.train, share)
    test = _split_with_roles(data.test, share) if data.test else None
    return replace(data, train=train, test=test)


def _split_with_roles(split: Split, share: Sequence[str]) -> Split:
    targets: dict[str, Target] = {}
    for name, target in split.targets.items():
        targets[name] = replace(target, role="content" if name in share else "style")
    return replace(split, targets=targets)


class Groups:
    """The groups of the training images, on the device, and draws from them."""

    def __init__(self, numbers_N: Tensor, device: torch.device) -> None:
        self.number_N = numbers_N.to(device)
        """The number of each image's group, from 0."""
        self.members_N = self.number_N.argsort(stable=True)
        """The images, group by group."""
        self.size_G = self.number_N.bincount()
        self.start_G = self.size_G.cumsum(0) - self.size_G
        """The place in `members_N` at which a group begins."""
        place_N = torch.empty_like(self.members_N)
        place_N[self.members_N] = torch.arange(len(place_N), device=device)
        self.rank_N = place_N - self.start_G[self.number_N]
        """The place of each image in its own group."""

    def draw(self, anchor_M: Tensor, K: int, generator: torch.Generator) -> Tensor:
        """Return K images (M, K) for each anchor: itself, and K - 1 others, uniformly from its group.

        They are all different where the group has K members or more. In a smaller one each is any of the members.
        """
        number_M = self.number_N[anchor_M]
        size_M = self.size_G[number_M]
        is_enough_M = size_M >= K
        ranks = [self.rank_N[anchor_M]]
        for taken in range(1, K):
            u_M = torch.rand(len(anchor_M), generator=generator, device=anchor_M.device, dtype=torch.float64)
            free_M = torch.where(is_enough_M, size_M - taken, size_M)
            rank_M = (u_M * free_M).long()
            passed_M = _past(rank_M, ranks)
            ranks.append(torch.where(is_enough_M, passed_M, rank_M))
        rank_MK = torch.stack(ranks, dim=1)
        return self.members_N[self.start_G[number_M][:, None] + rank_MK]

    def said(self, share: Sequence[str], images: int) -> str:
        """Return a sentence on the groups, and on how many of a batch of so many images belong to one."""
        sizes_G = self.size_G.double()
        N = len(self.number_N)
        if len(sizes_G) == N:
            return f"no two images agree in {listed(share)}: all views are of one image, as without 'positives'"
        alone = int((self.size_G == 1).sum())
        pairs = float((sizes_G * (sizes_G - 1)).sum())
        others = (images - 1) * pairs / (N * (N - 1)) if N > 1 else 0.0
        groups = f"{len(self.size_G):,} groups of {int(self.size_G.min()):,} to {int(self.size_G.max()):,} images"
        alone_said = f"; {alone:,} are alone in theirs, and their views are all of themselves" if alone else ""
        return (
            f"positives share {listed(share)}: {groups}{alone_said}; in a batch of {images} an image has, on average, "
            f"{others:,.1f} others of its group, negatives to a contrastive loss that is not told the groups"
        )


def _past(rank_M: Tensor, taken: Sequence[Tensor]) -> Tensor:
    """The rank_M-th of the places that are not taken yet, from 0."""
    for taken_M in torch.stack(tuple(taken)).sort(0).values:
        rank_M = rank_M + (rank_M >= taken_M)
    return rank_M
