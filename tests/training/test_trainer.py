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
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_run
from simssl.training.optimizer.optimize import learning_rate_factor
from simssl.training.records.trackers import Trackers
from simssl.training.trainer import Trainer


def new_trainer(folder: Path, objective: type[Objective] = TinyObjective, **training: object) -> Trainer:
    built = tiny_run(objective)
    changed = built.experiment.training.model_copy(update=training)
    object.__setattr__(built.experiment, "training", changed)
    return Trainer(built, RunFolder(folder))


class Showing(TinyObjective):
    """Remembers which images it was shown."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.shown = [*getattr(self, "shown", []), index_B.clone()]
        return super().forward(x_BJCHW, index_B, generator)


def shown(trainer: Trainer, steps: int) -> Tensor:
    """The images of the next steps, one after the other."""
    trainer.objective.shown = []
    for _ in range(steps):
        trainer.train_step()
    return torch.cat(trainer.objective.shown)


def test_an_epoch_shows_every_image_once_and_the_next_in_another_order(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path, Showing)
    trainer.built.steps = 32
    orders = [shown(trainer, 16) for _ in range(2)]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(96))
    assert not torch.equal(*orders)


class Weighted(Showing):
    """Draws images of even index alone."""

    def before_epoch(self, epoch: int, encode_all: Callable[[], Tensor], generator: torch.Generator) -> Tensor:
        self.epochs = [*getattr(self, "epochs", []), epoch]
        assert encode_all().shape == (96, self.context.latent_dim)
        return (torch.arange(96) % 2 == 0).float()


def test_sampling_weights_of_an_objective_are_drawn_from(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path, Weighted)
    trainer.built.steps = 17
    drawn = shown(trainer, 17)
    assert bool((drawn % 2 == 0).all())
    assert trainer.objective.epochs == [0, 1]
    assert trainer.objective.training


class Progressing(TinyObjective):
    def after_step(self, progress: Tensor) -> None:
        self.seen = [*getattr(self, "seen", []), progress.item()]


def test_progress_runs_from_the_first_step_to_one(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path, Progressing)
    for _ in range(trainer.built.steps):
        trainer.train_step()
    assert trainer.objective.seen == pytest.approx([i / 16 for i in range(1, 17)])


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

    for done in (False, True):
        built = tiny_run(Mean)
        trainer = Trainer(built, RunFolder(tmp_path))
        trainer.restore()
        assert trainer.done is done
        if not done:
            train(trainer, Trackers({}, print), Stop())
        images = built.views.plain(built.data.train.images)
        assert built.objective.mean.item() == pytest.approx(images.mean().item())


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

    trainer = new_trainer(tmp_path, Diverging)
    for _ in range(5):
        trainer.train_step()
    trainer.save()
    for _ in range(5):
        trainer.train_step()
    with pytest.raises(RunError, match=r"'kl' is not finite at step 8 .* last good checkpoint"):
        trainer.log_and_save(Trackers({}, print))
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 5
    assert all(bool(value.isfinite().all()) for value in state["objective"].values())


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    from simssl.errors import RunError

    trainer = new_trainer(tmp_path)
    trainer.train_step()
    next(trainer.objective.parameters()).data.fill_(torch.nan)
    with pytest.raises(RunError, match="a weight is not finite at step 1"):
        trainer.save()
    assert not (tmp_path / "checkpoint.pt").exists()


def test_logged_terms_are_means_since_the_last_record(tmp_path: Path) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.records: list[tuple[int, dict[str, float]]] = []

        def logged(self, step: int, terms: dict[str, float]) -> None:
            self.records.append((step, terms))

    recorder, trainer = Recorder(), new_trainer(tmp_path)
    for _ in range(trainer.built.steps):
        trainer.train_step()
        trainer.log_and_save(recorder)  # type: ignore[arg-type]
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
    from simssl.experiment.config import load_experiments
    from simssl.plugin.registry import Registry
    from simssl.training.build import build_run, load_data

    registry = Registry(builtins_only=True)
    sizes = []
    for training in ({"epochs": 2, "batch_views": 60}, {"views": 10_000, "batch_views": 61}):
        (experiment,) = load_experiments(small(training=training), registry)
        data = load_data(experiment.dataset, registry, Path(), lambda *_: None)
        built = build_run(experiment, registry, data, torch.device("cpu"))
        sizes.append((built.images_per_step, built.views_per_step, built.steps))
    assert sizes == [(20, 60, 2 * (1437 // 20)), (20, 60, 10_000 // 60)]


@pytest.mark.parametrize("objective", ["simvae", "vae", "simclr"])
def test_bfloat16_trains_with_losses_in_float32(
    objective: str, simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simssl.training.machine.precision.multiplies_bfloat16", lambda: True)
    training = {"views": 3000, "batch_views": 60, "precision": "bfloat16"}
    assert simssl("run", small(training=training, objective={"name": objective})).exit_code == 0
    (file,) = Path("runs").rglob("representation-test.npy")
    import numpy as np

    assert np.load(file).dtype == np.float32


def test_the_optimiser_has_the_files_settings(small: Callable[..., Path]) -> None:
    from simssl.experiment.settings import Adam
    from simssl.training.optimizer.optimize import LearningRates, build_optimizer

    settings = Adam(lr=0.02, betas=(0.8, 0.9), eps=1e-4, weight_decay=0.3)
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = build_optimizer(settings, [{"params": [weights[0]]}, {"params": [weights[1]], "lr": 0.5}])
    assert optimizer.defaults.items() >= {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.3}.items()
    rates = LearningRates(optimizer, Schedule(warmup=0.5), 4, torch.device("cpu"))
    rates.look_up(torch.tensor(0))
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.25]


def test_the_schedule_reaches_every_step(tmp_path: Path) -> None:
    """With a warm-up, the first step is a sixteenth of what it is without."""
    moved = []
    for schedule in (Schedule(), Schedule(warmup=0.99)):
        trainer = new_trainer(tmp_path, schedule=schedule)
        before = torch.nn.utils.parameters_to_vector(trainer.objective.parameters()).detach().clone()
        trainer.train_step()
        moved.append(torch.nn.utils.parameters_to_vector(trainer.objective.parameters()).detach() - before)
    torch.testing.assert_close(moved[1] * 16, moved[0], rtol=0.02, atol=1e-5)


class Careless(TinyObjective):
    """Draws from the default generators, as an objective should not; the run is exact all the same."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        import random

        import numpy as np

        scale = 1 + torch.rand(()) + random.random() + np.random.rand()
        return Terms({name: scale * term for name, term in super().forward(x_BJCHW, index_B, generator).loss.items()})


def test_default_generators_threads_and_the_open_window_are_restored(tmp_path: Path) -> None:
    """Stopped inside a window of the log, far into the second epoch; the logged terms are those of one go."""

    class Recorder(list):  # type: ignore[type-arg]
        def logged(self, step: int, terms: dict[str, float]) -> None:
            self.append((step, terms))

    def go_on(folder: str, steps: int, recorder: Recorder) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        trainer = Trainer(tiny_run(Careless, steps=32), RunFolder(tmp_path / folder))
        trainer.restore()
        while trainer.step < steps:
            trainer.train_step()
            trainer.log_and_save(recorder)  # type: ignore[arg-type]
        return trainer

    whole, parts = Recorder(), Recorder()
    expected = go_on("whole", 32, whole)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = go_on("whole1", 32, whole)
        half = go_on("parts", 18, parts)
        half.save()
        torch.set_num_threads(2)
        trainer = go_on("parts", 32, parts)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert whole[len(whole) // 2 :] == parts
    for name, value in expected.objective.state_dict().items():
        assert torch.equal(value, trainer.objective.state_dict()[name])


def test_the_training_generator_follows_the_seed() -> None:
    def order(seed: int) -> Tensor:
        return torch.randperm(50, generator=tiny_run(seed=seed).generator)

    assert torch.equal(order(0), order(0))
    assert not torch.equal(order(0), order(1))


class Watching(TinyObjective):
    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        self.seen = self.model.encoder(x_BJCHW[:, 0]).dtype
        return super().forward(x_BJCHW, index_B, generator)


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_precision_is_that_of_the_networks(
    precision: str, dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simssl.training.machine.precision.multiplies_bfloat16", lambda: True)
    trainer = new_trainer(tmp_path, Watching, precision=precision)
    trainer.train_step()
    assert trainer.objective.seen == dtype


def test_float32_is_not_tf32_and_deterministic_is_asked_for() -> None:
    import dataclasses

    from simssl.testing.fixtures import tiny_experiment
    from simssl.training.build import prepare_numerics

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    experiment = tiny_experiment()
    deterministic = experiment.training.model_copy(update={"deterministic": True})
    prepare_numerics(dataclasses.replace(experiment, training=deterministic))
    assert torch.are_deterministic_algorithms_enabled()
    prepare_numerics(experiment)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_a_checkpoint_for_other_networks_is_told(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    simssl("run", small())
    (file,) = Path("runs").rglob("checkpoint.pt")
    state = torch.load(file, weights_only=True)
    state["objective"] = {f"renamed.{name}": value for name, value in state["objective"].items()}
    torch.save(state, file)
    result = simssl("evaluate", file.parent, "-e", "style_probe")
    assert result.exit_code == 1
    assert "does not fit the run; perhaps another version of a plugin made it" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.cuda
@pytest.mark.parametrize("objective", ["random", "vae", "simclr", "simvae"])
def test_cuda_trains_and_measures_the_same_twice(
    objective: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    evaluators = [{"name": n} for n in ("knn", "style_probe", "reconstruction")]
    evaluators += [{"name": n, "epochs": 3} for n in ("mlp_probe", "linear_probe")] + [{"name": "gmm", "starts": 3}]
    training = {"views": 3000, "batch_views": 60, "deterministic": True}
    file = small(objective={"name": objective}, evaluators=evaluators, training=training)
    texts = []
    for runs in ("a", "b"):
        assert simssl("run", file, "--device", "cuda", "--runs", runs).exit_code == 0
        texts.append(next(Path(runs).rglob("metrics.json")).read_text())
    assert texts[0] == texts[1]


def test_a_diverged_run_is_stopped_before_its_representations_are_clustered(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    """The next reading of the terms would come later than the next epoch."""
    training = {"epochs": 5, "batch_views": 60, "log_every": 1000, "optimizer": {"name": "sgd", "lr": 1e30}}
    result = simssl("run", small(objective={"name": "deep_cluster", "k": 4}, training=training))
    assert result.exit_code == 1
    assert "the loss term 'cross_entropy' is not finite at step" in result.stderr


class OfManyTerms(TinyObjective):
    """Its loss has a constant, a term in float64, and one term under two names."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        kl = terms.loss["kl"]
        self.seen = torch.autograd.grad(
            2 * kl + 3 * kl.square(), self.parameters(), retain_graph=True, allow_unused=True
        )
        return Terms(loss={"kl": kl, "again": kl, "double": 3 * kl.double().square(), "constant": torch.ones(())})


def test_the_gradient_is_that_of_the_sum_of_the_terms(tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path, OfManyTerms)
    trainer.train_step()
    for weight, expected in zip(trainer.objective.parameters(), trainer.objective.seen, strict=True):
        if expected is not None:
            torch.testing.assert_close(weight.grad, expected)
    assert any(expected is not None for expected in trainer.objective.seen)
