"""The counters of batch norms after a forward pass are what each batch norm would have counted by itself."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from simssl.api import Shape
from simssl.blocks.networks import SplitBatchNorm
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import StubRegistry, TinyBackbone, tiny_data, tiny_experiment
from simssl.testing.operations import Operations
from simssl.training.batch_counts import BatchCounts
from simssl.training.build import build_run
from simssl.training.trainer import Trainer


class ByItsCount(nn.BatchNorm1d):
    """Its output depends on its counter."""

    def forward(self, input: Tensor) -> Tensor:
        y = super().forward(input)
        assert self.num_batches_tracked is not None
        return y * self.num_batches_tracked


class Networks(nn.Module):
    """Batch norms of several kinds. One is used twice, one in evaluation, one not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.once = nn.BatchNorm1d(3)
        self.twice = nn.BatchNorm1d(3)
        self.split = SplitBatchNorm(2, nn.BatchNorm1d(3))
        self.average = nn.BatchNorm1d(3, momentum=None)
        self.reads = ByItsCount(3)
        self.frozen = nn.BatchNorm1d(3).eval()
        self.uncounted = nn.BatchNorm1d(3, track_running_stats=False)
        self.unused = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        norms = (self.once, self.twice, self.twice, self.split, self.average, self.reads, self.frozen, self.uncounted)
        for norm in norms:
            x = norm(x + 1)
        return x


def test_counters_outputs_and_statistics_are_those_of_each_norm_by_itself() -> None:
    together = Networks()
    alone = copy.deepcopy(together)
    counts = BatchCounts(together)
    x = torch.randn(6, 3)
    for _ in range(3):
        with counts.added_together():
            y = together(x)
        assert torch.equal(y, alone(x))
        for (name, buffer), expected in zip(together.named_buffers(), alone.buffers(), strict=True):
            assert type(buffer) is Tensor
            assert torch.equal(buffer, expected), name
    assert together.twice.num_batches_tracked.item() == 6


def test_counters_are_added_to_in_one_operation_and_stay_where_they_are() -> None:
    norms = nn.Sequential(*[nn.BatchNorm1d(3) for _ in range(4)])
    before = [norm.num_batches_tracked for norm in norms]
    counts = BatchCounts(norms)
    with Operations() as operations, counts.added_together():
        norms(torch.randn(6, 3))
    assert [name for name in operations.names if "add" in name] == ["_foreach_add_"]
    assert all(norm.num_batches_tracked is counter for norm, counter in zip(norms, before, strict=True))


def test_a_counter_that_was_replaced_is_the_one_that_counts() -> None:
    norms = nn.Sequential(nn.BatchNorm1d(3))
    counts = BatchCounts(norms)
    norms[0].num_batches_tracked = torch.full((), 7)
    with counts.added_together():
        norms(torch.randn(6, 3))
    assert norms[0].num_batches_tracked.item() == 8


def test_within_a_counter_can_be_read_and_saved() -> None:
    """As it was before the pass."""
    norms = nn.Sequential(nn.BatchNorm1d(3))
    with BatchCounts(norms).added_together():
        norms(torch.randn(6, 3))
        assert norms.state_dict()["0.num_batches_tracked"].item() == 0
        copied = copy.deepcopy(norms)[0].num_batches_tracked
    assert type(copied) is Tensor
    assert norms[0].num_batches_tracked.item() == 1


def test_after_an_error_the_counters_are_tensors_again() -> None:
    norms = nn.Sequential(nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match="more than 1 value"), BatchCounts(norms).added_together():
        norms(torch.randn(1, 3))
    assert type(norms[0].num_batches_tracked) is Tensor


class NormBackbone(TinyBackbone):
    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(super().encoder(shape, outputs), nn.BatchNorm1d(outputs))


def test_a_step_of_byol_counts_two_batches(tmp_path: Path) -> None:
    """Each view passes the student by itself, and the teacher has its student's count."""
    byol = Registry(builtins_only=True).load("objective", "byol")
    registry = StubRegistry(objective=byol, backbone=NormBackbone)
    built = build_run(tiny_experiment(byol), registry, tiny_data(), torch.device("cpu"))  # type: ignore[arg-type]
    trainer = Trainer(built, RunFolder(tmp_path))
    for _ in range(3):
        trainer.train_step()
    counters = {name: buffer.item() for name, buffer in built.objective.named_buffers() if "num_batches" in name}
    assert len(counters) > 2
    assert set(counters.values()) == {6}
