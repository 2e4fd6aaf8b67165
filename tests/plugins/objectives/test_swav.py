"""SwAV against plain loops, and when its prototypes learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from references import REGISTRY, assert_same_gradient, build, loss, slow_sinkhorn, views
from torch import Tensor

from simssl.store.folder import RunFolder
from simssl.testing.checks import processes
from simssl.testing.fixtures import tiny_run
from simssl.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("float64")
SWAV = REGISTRY.load("objective", "swav")


def slow_swav(objective: Any, x_BJCHW: Tensor, temperature: float = 0.1, epsilon: float = 0.05) -> Tensor:
    """The authors' code, value by value; both views pass the head as one batch."""
    B, K = len(x_BJCHW), len(objective.prototypes)
    projections = objective.layers(x_BJCHW.flatten(0, 1))["projection"].unflatten(0, (B, 2))
    scores = [[], []]
    for j in (0, 1):
        for b in range(B):
            unit = projections[b, j] / (projections[b, j] ** 2).sum() ** 0.5
            scores[j].append([(unit * prototype).sum() for prototype in objective.prototypes])
    total = torch.zeros((), dtype=torch.float64)
    for j in (0, 1):
        code = slow_sinkhorn(torch.stack([torch.stack(row) for row in scores[j]]).detach(), epsilon, 3)
        for b in range(B):
            exponentials = [(score / temperature).exp() for score in scores[1 - j][b]]
            for k in range(K):
                total = total - code[b][k] * (exponentials[k] / sum(exponentials)).log()
    return total / (2 * B)


def test_against_loops() -> None:
    objective, x = build("swav", K=4, head=(6, 3), frozen_epochs=0), views(5, 2)
    ours, expected = loss(objective, x).loss["cross_entropy"], slow_swav(objective, x)
    torch.testing.assert_close(ours, expected)
    assert_same_gradient(objective, ours, expected)


def test_prototypes_have_length_one_after_each_step() -> None:
    objective = build("swav", K=4, head=(3,))
    ones = torch.ones(4, dtype=torch.float64)
    torch.testing.assert_close(objective.prototypes.norm(dim=1), ones)
    with torch.no_grad():
        objective.prototypes.mul_(3)
    objective.after_step(torch.tensor(0.5))
    torch.testing.assert_close(objective.prototypes.norm(dim=1), ones)


def trainer_of(folder: Path, steps: int) -> Trainer:
    """Of a run of 16 steps an epoch."""
    return Trainer(tiny_run(SWAV, steps=steps), RunFolder(folder))


def test_prototypes_wait_for_one_epoch_to_the_step(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, steps=48)
    prototypes = trainer.objective.prototypes
    drawn = prototypes.clone()
    encoder = next(trainer.objective.encoder.parameters())
    before = encoder.clone()
    for _ in range(16):
        trainer.train_step()
    torch.testing.assert_close(prototypes, drawn)
    assert not torch.equal(encoder, before)
    trainer.train_step()
    assert (prototypes - drawn).abs().max() > 1e-4


def test_weight_decay_does_not_move_prototypes_that_wait(tmp_path: Path) -> None:
    """Adam takes steps of one length, however small the decay is that they come from."""
    trainer = trainer_of(tmp_path, steps=48)
    for group in trainer.optimizer.param_groups:
        group["weight_decay"] = 1e-3
    drawn = trainer.objective.prototypes.clone()
    for _ in range(16):
        trainer.train_step()
    torch.testing.assert_close(trainer.objective.prototypes, drawn)


def test_prototypes_of_a_run_of_one_epoch_learn_from_its_first_step(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, steps=16)
    drawn = trainer.objective.prototypes.clone()
    trainer.train_step()
    assert (trainer.objective.prototypes - drawn).abs().max() > 1e-4


def test_two_processes_with_frozen_prototypes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "tiny_run", lambda objective: tiny_run(objective, steps=48))
    processes.two_processes_train_as_one(SWAV, tmp_path)


def test_codes_use_all_prototypes_equally_where_the_encoder_has_collapsed() -> None:
    """All images in one point: every code is uniform, and the loss at least the entropy of K classes."""
    objective = build("swav", K=4, head=(3,))
    with torch.no_grad():
        objective.head[0].weight.zero_()
        objective.head[0].bias.copy_(torch.tensor([2.0, 0.0, 0.0]))
    value = loss(objective, views(6, 2)).loss["cross_entropy"].item()
    assert value >= torch.tensor(4.0).log().item()
