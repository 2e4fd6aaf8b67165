"""InfoNCE, instance discrimination and DeepCluster against plain loops, and where their losses are known."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from references import IMAGES, REGISTRY, assert_same_gradient, build, loss, views
from torch import Tensor

from simssl.api import Objective
from simssl.blocks.statistics.clustering import kmeans
from simssl.store.folder import RunFolder
from simssl.testing import CHECKS, DoesNotApply, run_check
from simssl.testing.fixtures import LATENT_DIM, tiny_run
from simssl.training.records.trackers import Trackers
from simssl.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("float64")


def fix(objective: Objective, z_MD: Tensor) -> None:
    """Replaces the encoder, so that these are the representations of any images."""
    objective.encoder = type("Fixed", (torch.nn.Module,), {"forward": lambda self, x: z_MD})()


def cross_entropy(logits: list[Tensor], label: int) -> Tensor:
    return sum(logit.exp() for logit in logits).log() - logits[label]  # type: ignore[attr-defined]


def dot(a: Tensor, b: Tensor) -> Tensor:
    return sum(x * y for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def unit(a: Tensor) -> Tensor:
    return a / dot(a, a) ** 0.5


# --- InfoNCE ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("similarity", "temperature"), [("dot", 1.0), ("dot", 0.5), ("cosine", 0.2)])
def test_infonce_against_loops(similarity: str, temperature: float) -> None:
    B = 4
    objective, x = build("infonce", similarity=similarity, temperature=temperature, head=(8, 3)), views(B, 2)
    za, zb = (objective.layers(x[:, j])["projection"] for j in (0, 1))
    if similarity == "cosine":
        za, zb = (torch.stack([unit(row) for row in z]) for z in (za, zb))
    total = torch.zeros((), dtype=torch.float64)
    for b in range(B):
        total = total + cross_entropy([dot(za[b], zb[k]) / temperature for k in range(B)], b)
        total = total + cross_entropy([dot(zb[b], za[k]) / temperature for k in range(B)], b)
    ours = loss(objective, x).loss["info_nce"]
    torch.testing.assert_close(ours, total / (2 * B))
    assert_same_gradient(objective, ours, total / (2 * B))


@pytest.mark.parametrize("params", [{}, {"similarity": "cosine", "temperature": 0.1}])
def test_infonce_of_orthonormal_and_collapsed_views(params: dict[str, Any]) -> None:
    """log(1 + (B - 1) exp(-1/T)), and log B where all rows are alike; without a head, to see the formula alone."""
    B, T = LATENT_DIM, params.get("temperature", 1.0)
    objective = build("infonce", head=(), **params)
    for row, expected in ((torch.eye(B), math.log(1 + (B - 1) * math.exp(-1 / T))), (torch.ones(B, B), math.log(B))):
        fix(objective, row.double().repeat_interleave(2, dim=0))
        assert loss(objective, views(B, 2)).loss["info_nce"].item() == pytest.approx(expected)


def test_infonce_compares_with_the_views_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gathered rows standing for another process's, the loss is the one over both batches."""
    import importlib

    from simssl.blocks.losses.contrast import info_nce

    objective, x, others = build("infonce"), views(4, 2), views(4, 2).flip(0)
    za, zb = (objective.layers(torch.cat([x, others])[:, j])["projection"] for j in (0, 1))
    rows = iter((za, zb))
    monkeypatch.setattr(importlib.import_module(type(objective).__module__), "gather", lambda _: next(rows))
    torch.testing.assert_close(loss(objective, x).loss["info_nce"], info_nce(za, zb, "dot", 1.0))


# --- instance discrimination -----------------------------------------------------------------------------

INDEX = torch.tensor([3, 0, 90, 41])


def instance_loss(objective: Objective, x: Tensor, seed: int = 7) -> Tensor:
    value: Tensor = objective(x, INDEX, torch.Generator().manual_seed(seed)).loss["cross_entropy"]
    return value


def test_parametric_instance_discrimination_against_loops() -> None:
    objective, x = build("instance_discrimination"), views(4, 1)
    z, W, b = objective.posterior(x[:, 0]).mean, objective.classifier.weight, objective.classifier.bias
    assert W.shape == (IMAGES, LATENT_DIM)
    slow = [
        cross_entropy([dot(W[n], z[i]) + b[n] for n in range(IMAGES)], label) for i, label in enumerate(INDEX.tolist())
    ]
    ours = instance_loss(objective, x)
    torch.testing.assert_close(ours, sum(slow) / 4)
    assert_same_gradient(objective, ours, sum(slow) / 4)


def test_zero_weights_know_no_image_from_another() -> None:
    objective = build("instance_discrimination")
    torch.nn.init.zeros_(objective.classifier.weight)
    torch.nn.init.zeros_(objective.classifier.bias)
    assert instance_loss(objective, views(4, 1)).item() == pytest.approx(math.log(IMAGES))


def test_what_belongs_to_the_bank_is_refused_without_one() -> None:
    plugin = REGISTRY.load("objective", "instance_discrimination")
    with pytest.raises(ValueError, match="'momentum' is the memory bank's: leave it out, or"):
        plugin.Params(momentum=0.9)
    assert plugin.Params(**plugin.Params().model_dump()).variant == "parametric"


def slow_bank_loss(objective: Objective, x: Tensor, negatives: int, temperature: float, seed: int = 7) -> Tensor:
    drawn = torch.randint(IMAGES, (negatives,), generator=torch.Generator().manual_seed(seed)).tolist()
    bank, total = objective.bank_ND, torch.zeros((), dtype=torch.float64)
    for i, own in enumerate(INDEX.tolist()):
        z = unit(objective.posterior(x[i]).mean[0])
        entries = [own] + [n for n in drawn if n != own]
        total = total + cross_entropy([dot(z, bank[n]) / temperature for n in entries], 0)
    return total / len(INDEX)


@pytest.mark.parametrize(("negatives", "temperature"), [(300, 0.1), (1, 0.5)])
def test_memory_bank_against_loops(negatives: int, temperature: float) -> None:
    """300 of 96 are drawn: own entries are among them, and some entries twice."""
    params = {"negatives": negatives, "temperature": temperature}
    objective, x = build("instance_discrimination", variant="memory_bank", **params), views(4, 1)
    ours, slow = instance_loss(objective, x), slow_bank_loss(objective, x, negatives, temperature)
    torch.testing.assert_close(ours, slow)
    assert_same_gradient(objective, ours, slow)


def test_an_image_among_orthogonal_ones() -> None:
    """log(1 + K exp(-1/T)) for K negatives: the bank holds each image's own representation, orthogonal to others'."""
    objective = build("instance_discrimination", variant="memory_bank", negatives=500)
    z = torch.eye(LATENT_DIM).double()
    fix(objective, z)
    objective.bank_ND.zero_()
    objective.bank_ND[INDEX] = z
    drawn = torch.randint(IMAGES, (500,), generator=torch.Generator().manual_seed(7))
    expected = [math.log(1 + (drawn != own).sum().item() * math.exp(-1 / 0.1)) for own in INDEX.tolist()]
    assert instance_loss(objective, views(4, 1)).item() == pytest.approx(sum(expected) / 4)


def test_a_collapsed_bank_knows_no_image_from_another() -> None:
    objective = build("instance_discrimination", variant="memory_bank", negatives=500)
    objective.bank_ND.copy_(torch.full((IMAGES, LATENT_DIM), 0.5))
    drawn = torch.randint(IMAGES, (500,), generator=torch.Generator().manual_seed(7))
    expected = [math.log(1 + (drawn != own).sum().item()) for own in INDEX.tolist()]
    assert instance_loss(objective, views(4, 1)).item() == pytest.approx(sum(expected) / 4)


def test_the_bank_begins_as_what_the_encoder_makes_of_the_images() -> None:
    """About their mean. Once: later epochs find what it remembers. The parametric variant asks for none of this."""
    z = torch.randn(IMAGES, LATENT_DIM, generator=seeded()).double() + 3
    objective = build("instance_discrimination", variant="memory_bank")
    objective.before_epoch(0, lambda: z, seeded())
    torch.testing.assert_close(objective.bank_ND, torch.stack([unit(row - z.mean(0)) for row in z]))
    for epoch, other in ((1, objective), (0, build("instance_discrimination"))):
        assert other.before_epoch(epoch, lambda: pytest.fail("encoded all images"), seeded()) is None


def test_the_bank_remembers_after_the_step() -> None:
    """entry = normalise(0.5 old + 0.5 new) of the step's images alone, and not before the step is done."""
    objective, x = build("instance_discrimination", variant="memory_bank"), views(4, 1)
    before = objective.bank_ND.clone()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(IMAGES).double())
    instance_loss(objective, x)
    assert torch.equal(objective.bank_ND, before)
    objective.after_step(torch.tensor(0.5))
    for i, own in enumerate(INDEX.tolist()):
        expected = unit(0.5 * before[own] + 0.5 * unit(objective.posterior(x[i]).mean[0]))
        torch.testing.assert_close(objective.bank_ND[own], expected)
    others = [n for n in range(IMAGES) if n not in INDEX.tolist()]
    assert torch.equal(objective.bank_ND[others], before[others])


def test_the_bank_remembers_what_every_process_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second process's rows gathered: the next four images, with the opposite representations."""
    objective, x = build("instance_discrimination", variant="memory_bank"), views(4, 1)
    before, others = objective.bank_ND.clone(), INDEX + 1
    module = importlib.import_module(type(objective).__module__)
    monkeypatch.setattr(module, "gather", lambda t: torch.cat([t, -t if t.is_floating_point() else t + 1]))
    instance_loss(objective, x)
    objective.after_step(torch.tensor(0.5))
    for i, (own, other) in enumerate(zip(INDEX.tolist(), others.tolist(), strict=True)):
        z = unit(objective.posterior(x[i]).mean[0])
        torch.testing.assert_close(objective.bank_ND[own], unit(before[own] + z))
        torch.testing.assert_close(objective.bank_ND[other], unit(before[other] - z))


def test_momentum_is_the_old_entrys_share() -> None:
    objective, x = build("instance_discrimination", variant="memory_bank", momentum=0.9), views(4, 1)
    before = objective.bank_ND.clone()
    instance_loss(objective, x)
    objective.after_step(torch.tensor(0.5))
    expected = unit(0.9 * before[3] + 0.1 * unit(objective.posterior(x[0]).mean[0]))
    torch.testing.assert_close(objective.bank_ND[3], expected)


def memory_bank() -> type[Objective]:
    plugin = REGISTRY.load("objective", "instance_discrimination")

    class Params(plugin.Params):
        variant: str = "memory_bank"
        "The other one than by default."

    MemoryBank: type[Objective] = type("MemoryBank", (plugin,), {"Params": Params, "__doc__": "With a bank."})
    return MemoryBank


@pytest.mark.parametrize("check", CHECKS["objective"])
def test_the_memory_bank_conforms(check: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # in float32
    try:
        run_check("objective", check, memory_bank(), tmp_path)
    except DoesNotApply as reason:
        pytest.skip(str(reason))


# --- DeepCluster -----------------------------------------------------------------------------------------


def test_deep_cluster_against_loops() -> None:
    objective, x = build("deep_cluster", k=5), views(4, 1)
    objective.cluster_N.copy_(torch.arange(IMAGES) % 5)
    z, W, b = objective.posterior(x[:, 0]).mean, objective.classifier.weight, objective.classifier.bias
    slow = [cross_entropy([dot(W[k], z[i]) + b[k] for k in range(5)], n % 5) for i, n in enumerate(INDEX.tolist())]
    ours = instance_loss(objective, x)
    torch.testing.assert_close(ours, sum(slow) / 4)
    assert_same_gradient(objective, ours, sum(slow) / 4)


def blobs() -> tuple[Tensor, Tensor]:
    """96 representations around four points of a sphere, in groups of 48, 24, 12 and 12."""
    label = torch.tensor([0] * 48 + [1] * 24 + [2] * 12 + [3] * 12)[torch.randperm(96, generator=seeded())]
    corners = torch.tensor([[1.0, 1, 1, 0], [1, -1, -1, 0], [-1, 1, -1, 0], [-1, -1, 1, 0]]).double()
    return corners[label] + 0.02 * torch.randn(96, 4, dtype=torch.float64, generator=seeded()), label


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_an_epoch_begins_with_clusters_of_the_representations() -> None:
    """Where they lie apart: one label each, images drawn uniformly over them, the classifier at zero, loss log k."""
    objective = build("deep_cluster", k=4)
    z, label = blobs()
    z[:, 3] *= 1e-9  # a direction that does not vary is not blown up
    weights = objective.before_epoch(1, lambda: z, seeded(1))
    pairs = set(zip(label.tolist(), objective.cluster_N.tolist(), strict=True))
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == 4
    shares = torch.stack([weights[label == c].sum() for c in range(4)])
    torch.testing.assert_close(shares, torch.ones(4))
    assert not any(p.any() for p in objective.classifier.parameters())
    assert instance_loss(objective, views(4, 1)).item() == pytest.approx(math.log(4))


def test_clusters_ignore_the_scale_of_a_direction() -> None:
    """Representations are whitened: stretched, and moved, they fall into the same clusters."""
    objective = build("deep_cluster", k=6)
    z = torch.randn(96, 4, dtype=torch.float64, generator=seeded())
    labels = []
    for scale in (torch.ones(4), torch.tensor([1.0, 30, 0.1, 5])):
        objective.before_epoch(1, lambda scale=scale: z * scale + 3, seeded(1))
        labels.append(objective.cluster_N.clone())
    pairs = set(zip(*(run.tolist() for run in labels), strict=True))
    assert len(pairs) < 12  # the same up to names and a few rows; 36 if they had nothing to do with one another


def test_what_k_means_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of length 1, and as many rounds as the parameter says."""
    objective, given = build("deep_cluster", k=4, iterations=7), []

    def spy(x_ND: Tensor, k: int, generator: torch.Generator, iterations: int) -> tuple[Tensor, Tensor]:
        given.append((x_ND.norm(dim=1), k, iterations))
        return kmeans(x_ND, k, generator, iterations)

    monkeypatch.setattr(importlib.import_module(type(objective).__module__), "kmeans", spy)
    objective.before_epoch(1, lambda: blobs()[0], seeded(1))
    ((lengths, k, iterations),) = given
    torch.testing.assert_close(lengths, torch.ones(96).double())
    assert (k, iterations) == (4, 7)


def test_fewer_images_than_latent_dimensions_are_clustered() -> None:
    objective = build("deep_cluster", k=4)
    wide = torch.randn(96, 200, dtype=torch.float64, generator=seeded())
    weights = objective.before_epoch(1, lambda: wide, seeded(1))
    assert weights.sum().item() == pytest.approx(4)


def test_a_collapsed_encoder_does_not_stop_the_run() -> None:
    objective = build("deep_cluster", k=4)
    weights = objective.before_epoch(1, lambda: torch.ones(96, 4), seeded())
    assert bool(weights.isfinite().all())
    assert weights.sum().item() == pytest.approx(len(set(objective.cluster_N.tolist())))


def test_more_clusters_than_images_are_refused() -> None:
    with pytest.raises(ValueError, match="k is 97, more than the 96 training images"):
        build("deep_cluster", k=97)


def restored_trainer(objective: type[Objective], folder: Path, steps: int = 48) -> Trainer:
    folder.mkdir(exist_ok=True)
    trainer = Trainer(tiny_run(objective, steps=steps), RunFolder(folder))
    trainer.restore()
    return trainer


def go_on(trainer: Trainer, steps: int) -> Trainer:
    while trainer.step < steps:
        trainer.train_step()
        trainer.log_and_save(Trackers({}, print))
    return trainer


def test_the_optimiser_forgets_the_classifier_at_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its averages and its count are 0 when an epoch begins, those of the encoder are not."""
    monkeypatch.undo()  # in float32
    trainer = go_on(restored_trainer(REGISTRY.load("objective", "deep_cluster"), tmp_path), 16)
    classifier, encoder = (
        [trainer.optimizer.state[p] for p in module.parameters()]
        for module in (trainer.objective.classifier, trainer.objective.encoder)
    )
    assert all(value.any() for state in classifier for value in state.values())
    held = [value for state in classifier for value in state.values()]
    trainer._begin_epoch()
    assert not any(value.any() for value in held)
    assert all(state["step"].item() == 16 for state in encoder)
    go_on(trainer, 17)
    assert all(state["step"].item() == 1 for state in classifier)


@pytest.mark.parametrize("name", ["deep_cluster", "memory_bank"])
@pytest.mark.parametrize("stop", [9, 16, 20])
def test_resumed_over_several_epochs_bit_for_bit(
    name: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within the first epoch (of 16 steps), at its end, and in the second."""
    monkeypatch.undo()  # in float32
    plugin = memory_bank() if name == "memory_bank" else REGISTRY.load("objective", name)
    whole = go_on(restored_trainer(plugin, tmp_path / "whole"), 37)
    go_on(restored_trainer(plugin, tmp_path / "parts"), stop).save()
    resumed = go_on(restored_trainer(plugin, tmp_path / "parts"), 37)
    for key, value in whole.objective.state_dict().items():
        assert torch.equal(value, resumed.objective.state_dict()[key]), key
    moments = [one.optimizer.state_dict()["state"] for one in (whole, resumed)]
    for key, state in moments[0].items():
        assert all(torch.equal(value, moments[1][key][name]) for name, value in state.items())
