"""What a step does: the budget, the order of the images, the schedule, and what stops a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from torch import Tensor

from simssl.api import Context, Objective, Posterior, Terms
from simssl.experiment.settings import Schedule
from simssl.testing.fixtures import TinyObjective, tiny_assembly
from simssl.training.folder import RunFolder
from simssl.training.trackers import Trackers
from simssl.training.train import Trainer, learning_rate_factor


def trainer(folder: Path, objective: type[Objective] = TinyObjective) -> Trainer:
    return Trainer(tiny_assembly(objective), RunFolder(folder))


def test_an_epoch_shows_every_image_once_and_the_next_in_another_order(tmp_path: Path) -> None:
    found = trainer(tmp_path)
    orders = [torch.cat([found._next_images() for _ in range(16)]) for _ in range(2)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(96))
    assert not torch.equal(*orders)


class Weighted(TinyObjective):
    """Draws images of even index alone."""

    def before_epoch(self, epoch: int, encode_all: Callable[[], Tensor], generator: torch.Generator) -> Tensor:
        self.epochs = [*getattr(self, "epochs", []), epoch]
        assert encode_all().shape == (96, self.context.latent_dim)
        return (torch.arange(96) % 2 == 0).float()


def test_sampling_weights_of_an_objective_are_drawn_from(tmp_path: Path) -> None:
    found = trainer(tmp_path, Weighted)
    drawn = torch.cat([found._next_images() for _ in range(17)])
    assert bool((drawn % 2 == 0).all())
    assert found.objective.epochs == [0, 1]
    assert found.objective.training


class Progressing(TinyObjective):
    def after_step(self, progress: Tensor) -> None:
        self.seen = [*getattr(self, "seen", []), progress.item()]


def test_progress_runs_from_the_first_step_to_one(tmp_path: Path) -> None:
    found = trainer(tmp_path, Progressing)
    for _ in range(found.assembly.steps):
        found.train_step()
    assert found.objective.seen == pytest.approx([i / 16 for i in range(1, 17)])


class Mean(Objective):
    """Not trained by gradient: subtracts the mean image's mean."""

    trained = False

    def __init__(self, params: object, context: Context) -> None:
        super().__init__(params, context)
        self.register_buffer("mean", torch.zeros(()))

    def fit(self, batches: object, generator: torch.Generator) -> None:
        self.mean.copy_(torch.cat(list(batches)).mean())  # type: ignore[call-overload]

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        return Posterior(x_BCHW.flatten(1)[:, : self.context.latent_dim] - self.mean)


def test_what_is_not_trained_is_fitted_once_and_saved(tmp_path: Path) -> None:
    from simssl.training.stop import Stop
    from simssl.training.train import train

    for _ in range(2):
        assembly = tiny_assembly(Mean)
        train(assembly, RunFolder(tmp_path), Trackers([], print), Stop())
        images = assembly.views.plain(assembly.data.train.images)
        assert assembly.objective.mean.item() == pytest.approx(images.mean().item())


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), [1, 1, 1, 1]),
        (Schedule(warmup=0.5), [0.5, 1, 1, 1]),
        (Schedule(name="cosine"), [1, 0.853553, 0.5, 0.146447]),
        (Schedule(name="cosine", warmup=0.5), [0.5, 1, 1, 0.5]),
    ],
)
def test_schedules(schedule: Schedule, expected: list[float]) -> None:
    assert [learning_rate_factor(schedule, step, 4) for step in range(4)] == pytest.approx(expected, abs=1e-6)


class Diverging(TinyObjective):
    """Its second term is infinite from step 8 on."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.steps = getattr(self, "steps", 0) + 1
        terms = super().forward(x_BJCHW, index_B, generator).loss
        return Terms({**terms, "kl": terms["kl"] * (torch.inf if self.steps >= 8 else 1)})


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    from simssl.errors import RunError

    found = trainer(tmp_path, Diverging)
    for _ in range(5):
        found.train_step()
    found.save()
    for _ in range(5):
        found.train_step()
    with pytest.raises(RunError, match=r"'kl' is not finite at step 8 .* last good checkpoint"):
        found.log_and_save(Trackers([], print))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 5
    assert all(bool(value.isfinite().all()) for value in state["objective"].values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    from simssl.errors import RunError

    found = trainer(tmp_path)
    found.train_step()
    next(found.objective.parameters()).data.fill_(torch.nan)
    with pytest.raises(RunError, match="a weight is not finite at step 1"):
        found.save()
    assert not (tmp_path / "checkpoint.pt").exists()


def test_logged_terms_are_means_since_the_last_record(tmp_path: Path) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.records: list[tuple[int, dict[str, float]]] = []

        def logged(self, step: int, terms: dict[str, float]) -> None:
            self.records.append((step, terms))

    recorder, found = Recorder(), trainer(tmp_path)
    for _ in range(found.assembly.steps):
        found.train_step()
        found.log_and_save(recorder)  # type: ignore[arg-type]
    assert [step for step, _ in recorder.records] == [5, 10, 15, 16]
    for _, terms in recorder.records:
        assert terms["loss"] == pytest.approx(terms["reconstruction"] + terms["kl"], rel=1e-5)


def test_a_batch_larger_than_the_data_is_refused(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    result = simssl("run", small(training={"views": 90_000, "batch_views": 9000}))
    assert result.exit_code == 2
    assert "a step takes 3000 images (batch_views 9000, 3 views each) and there are 1437" in result.stderr


def test_a_budget_below_one_step_is_refused(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    result = simssl("run", small(training={"views": 10, "batch_views": 60}))
    assert result.exit_code == 2
    assert "less than the 60 views of one step" in result.stderr


def test_budgets_in_epochs_and_views(small: Callable[..., Path]) -> None:
    from simssl.experiment.config import load
    from simssl.registry import Registry
    from simssl.training.assemble import assemble, load_data

    registry = Registry(builtins_only=True)
    found = []
    for training in ({"epochs": 2, "batch_views": 60}, {"views": 10_000, "batch_views": 61}):
        (cell,) = load(small(training=training), registry)
        data = load_data(cell.dataset, registry, Path(), lambda *_: None)
        assembly = assemble(cell, registry, data, torch.device("cpu"))
        found.append((assembly.images_per_step, assembly.views_per_step, assembly.steps))
    assert found == [(20, 60, 2 * (1437 // 20)), (20, 60, 10_000 // 60)]


@pytest.mark.parametrize("objective", ["simvae", "vae", "simclr"])
def test_bfloat16_trains_with_losses_in_float32(
    objective: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    training = {"views": 3000, "batch_views": 60, "precision": "bfloat16"}
    assert simssl("run", small(training=training, objective={"name": objective})).exit_code == 0
    (file,) = Path("runs").rglob("representation-test.npy")
    import numpy as np

    assert np.load(file).dtype == np.float32
