"""The check that two processes train as one: every built-in objective passes it, and each kind of mistake is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.api import Context, EncodeAll, EncoderObjective, Objective, Shape, Terms
from simssl.blocks.distributed import Seat, gather, together, world_size
from simssl.blocks.losses import nt_xent
from simssl.errors import UserError
from simssl.experiment.model import Choice
from simssl.params import Params
from simssl.plugin.registry import Registry
from simssl.testing.checks import processes
from simssl.testing.checks.processes import largest_differences, two_processes_train_as_one
from simssl.testing.fixtures import (
    StubRegistry,
    TinyBackbone,
    default_params,
    tiny_data,
    tiny_experiment,
    tiny_run,
)
from simssl.training.build import BuiltRun, build_run

Generator = torch.Generator


class Contrast(EncoderObjective):
    """SimCLR without a head."""

    views = ("random", "random")

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        za_BD, zb_BD = self.encoder(x_BJCHW.flatten(0, 1)).unflatten(0, x_BJCHW.shape[:2]).unbind(1)
        return Terms({"loss_of": self.loss(za_BD, zb_BD, generator)})

    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        return nt_xent(gather(za_BD), gather(zb_BD), 0.5)


class ForgetsToGather(Contrast):
    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        return nt_xent(za_BD, zb_BD, 0.5)


class GathersWithoutGradient(Contrast):
    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        others = gather(torch.cat([za_BD, zb_BD]).detach())
        return F.cross_entropy(za_BD @ others.T, torch.arange(len(za_BD)))


class SumsOverOwnRows(Contrast):
    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        return (za_BD - zb_BD).square().sum()


class DividesByAllProcesses(Contrast):
    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        return (za_BD - zb_BD).square().mean() / world_size()


class DrawsForItsOwnRows(Contrast):
    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        noise_BD = torch.randn(za_BD.shape, generator=generator)
        return (za_BD + noise_BD - zb_BD).square().mean()


class OwnQueue(Contrast):
    """It remembers the keys of its own rows."""

    queue: Tensor

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.register_buffer("queue", torch.zeros(8, context.latent_dim))

    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        loss = (za_BD @ self.queue.T.clone()).logsumexp(1).mean()
        self.queue[: len(zb_BD)] = zb_BD.detach()
        return loss + (za_BD - zb_BD).square().mean()


class UnsynchronisedNorm(nn.Module):
    """Normalises by the statistics of its own rows."""

    def forward(self, x_BC: Tensor) -> Tensor:
        return (x_BC - x_BC.mean(0)) / (x_BC.var(0) + 1e-3).sqrt()


class OwnStatistics(Contrast):
    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.norm = UnsynchronisedNorm()

    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        return (self.norm(za_BD) - self.norm(zb_BD)).square().mean()


class InFloat32(Contrast):
    """It is right, and cuts float64 to float32."""

    def loss(self, za_BD: Tensor, zb_BD: Tensor, generator: Generator) -> Tensor:
        return nt_xent(gather(za_BD.float()), gather(zb_BD.float()), 0.5)


@pytest.mark.parametrize("objective", [Contrast, InFloat32])
def test_what_is_right_passes(objective: type[Objective], tmp_path: Path) -> None:
    two_processes_train_as_one(objective, tmp_path)


MUTANTS = {
    ForgetsToGather: "the term 'loss",
    GathersWithoutGradient: "the term 'loss",
    SumsOverOwnRows: "the term 'loss",
    DividesByAllProcesses: "the term 'loss",
    DrawsForItsOwnRows: "the term 'loss",
    OwnQueue: "",
    OwnStatistics: "the term 'loss",
}


@pytest.mark.parametrize("objective", MUTANTS)
def test_each_kind_of_mistake_is_found(objective: type[Objective], tmp_path: Path) -> None:
    with pytest.raises(AssertionError) as error:
        two_processes_train_as_one(objective, tmp_path)
    message = str(error.value)
    assert message.startswith(MUTANTS[objective])
    assert "differs by" in message
    assert "takes their rows from `gather`" in message


class Normalised(TinyBackbone):
    """With batch norm."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        flat = shape[0] * shape[1] * shape[2]
        return nn.Sequential(nn.Flatten(), nn.Linear(flat, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, outputs))


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in ("simclr", "byol", "simvae", "deep_cluster", "dino")},
    "moco in one part": ("moco", {"batch_norm_splits": 1}),
    "moco in two parts": ("moco", {"batch_norm_splits": 2}),
    "memory bank": ("instance_discrimination", {"variant": "memory_bank", "negatives": 8}),
    "infonce, cosine": ("infonce", {"similarity": "cosine"}),
}


@pytest.mark.parametrize("case", CASES)
def test_built_in_methods_with_batch_norm_and_other_parameters(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, params = CASES[case]
    objective = Registry(builtins_only=True).load("objective", name)
    monkeypatch.setattr(processes, "tiny_run", _with_batch_norm(params))
    two_processes_train_as_one(objective, tmp_path)


def _with_batch_norm(params: dict[str, Any]) -> Callable[[type[Objective]], BuiltRun]:
    def built(objective: type[Objective]) -> BuiltRun:
        experiment = tiny_experiment(objective, images=8)
        given = default_params(objective, **params)
        object.__setattr__(experiment, "objective", Choice("objective", "tiny", given))
        registry = StubRegistry(objective=objective, backbone=Normalised)
        return build_run(experiment, registry, tiny_data(), torch.device("cpu"))  # type: ignore[arg-type]

    return built


def test_the_differences_are_rounding(tmp_path: Path) -> None:
    """The table of a few, as the check sees them: far below what it allows."""
    objective = Registry(builtins_only=True).load("objective", "simclr")
    alone = processes.take_steps(processes._built(objective), tmp_path / "alone")
    runs = [processes._built(objective, rank, 2) for rank in range(2)]
    for shared in processes.side_by_side(runs, tmp_path):
        for _, difference in largest_differences(alone, shared).values():
            assert difference < 1e-12


def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_do() -> None:
    with together(Seat(0, 4)), pytest.raises(UserError) as error:
        tiny_run(Contrast, images=6)
    assert str(error.value) == (
        "the 6 images of a step do not divide among 4 processes; set training.batch_views to 8 or 16"
    )


class Counts(Contrast):
    """With a monitor that is a whole number."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms(terms.loss, {"images": torch.tensor(7)})


class KeepsNoStatistics(Contrast):
    """With batch norm that also normalises by its batch where it is not trained, in `encode_all`."""

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        norm = nn.BatchNorm1d(context.latent_dim, track_running_stats=False)
        self.encoder = nn.Sequential(self.encoder, norm)
        self.register_buffer("all", torch.zeros(context.num_images, context.latent_dim))

    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: Generator) -> None:
        self.get_buffer("all").copy_(encode_all())


@pytest.mark.parametrize("objective", [Counts, KeepsNoStatistics])
def test_whole_numbers_and_batches_that_are_not_trained_with_pass(objective: type[Objective], tmp_path: Path) -> None:
    two_processes_train_as_one(objective, tmp_path)
