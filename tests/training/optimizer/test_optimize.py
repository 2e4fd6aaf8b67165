"""Optimisers and clipping: LARS against scalars, the settings of the others, exact resumption of each."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from simssl.experiment.settings import LARS, SGD, Adam, AdamW, Optimizer, Schedule
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import tiny_run
from simssl.testing.host_sync import refuse_host_synchronisation
from simssl.testing.operations import Operations
from simssl.training.optimizer.optimize import LearningRates, build_optimizer, clip_gradient, learning_rate_factor
from simssl.training.trainer import Trainer

ALL: list[Optimizer] = [
    Adam(lr=0.01, weight_decay=0.1),
    AdamW(name="adamw", lr=0.01),
    SGD(name="sgd", lr=0.01, nesterov=True, weight_decay=0.1),
    LARS(name="lars", lr=0.5, weight_decay=0.1),
]
each = pytest.mark.parametrize("settings", ALL, ids=lambda settings: settings.name)


def new_trainer(folder: Path, settings: Optimizer, **more: object) -> Trainer:
    built = tiny_run()
    training = built.experiment.training.model_copy(update={"optimizer": settings, **more})
    object.__setattr__(built.experiment, "training", training)
    return Trainer(built, RunFolder(folder))


Matrix = list[list[float]]


def scalar_lars(
    weights: list[Matrix],
    gradients: list[list[Matrix]],
    adapted: list[bool],
    lrs: list[float],
    m: float,
    d: float,
    clip: bool,
    trust: float,
) -> list[Matrix]:
    """The weights after one step for each of the learning rates, number by number, after You et al., section 4."""
    velocity = [[[0.0 for _ in row] for row in w] for w in weights]
    for lr, step in zip(lrs, gradients, strict=True):
        for w, g, v, is_adapted in zip(weights, step, velocity, adapted, strict=True):
            decay = d if is_adapted else 0.0
            squares_w = sum(x * x for row in w for x in row)
            squares_u = sum((g[i][j] + decay * w[i][j]) ** 2 for i, row in enumerate(w) for j in range(len(row)))
            local = 1.0
            if is_adapted and squares_w > 0 and squares_u > 0:
                local = trust * math.sqrt(squares_w) / math.sqrt(squares_u)
                local = min(local / lr, 1) if clip else local
            for i, row in enumerate(w):
                for j in range(len(row)):
                    v[i][j] = m * v[i][j] + local * (g[i][j] + decay * row[j])
                    row[j] -= lr * v[i][j]
    return weights


@pytest.mark.parametrize(("clip", "trust"), [(False, 1e-3), (True, 1e-3), (True, 0.4), (True, 10.0)])
def test_lars_equals_the_scalar_reference(clip: bool, trust: float) -> None:
    """A matrix, a bias, a matrix of zeros, one without a gradient; the learning rate changes between steps.

    With a large coefficient all are clipped, with a middle one some.
    """
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    start = [draw(3, 4), draw(1, 4), torch.zeros(2, 3, dtype=torch.float64), draw(2, 2)]
    gradients = [[draw(3, 4), draw(1, 4), draw(2, 3), torch.zeros(2, 2, dtype=torch.float64)] for _ in range(4)]
    lrs, adapted = [0.5, 2.0, 1.0, 0.1], [True, False, True, True]
    expected = scalar_lars(
        [w.tolist() for w in start],
        [[g.tolist() for g in step] for step in gradients],
        adapted,
        lrs,
        0.9,
        0.05,
        clip,
        trust,
    )
    weights = [nn.Parameter(w.clone().flatten() if not a else w.clone()) for w, a in zip(start, adapted, strict=True)]
    alone = nn.Parameter(torch.ones(2, 2))
    settings = LARS(name="lars", lr=1.0, momentum=0.9, weight_decay=0.05, trust_coefficient=trust, clipped=clip)
    optimizer = build_optimizer(settings, [{"params": [*weights, alone]}])
    for lr, step in zip(lrs, gradients, strict=True):
        for weight, gradient in zip(weights, step, strict=True):
            weight.grad = gradient.view_as(weight)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
    for weight, numbers in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.detach(), torch.tensor(numbers, dtype=torch.float64).view_as(weight))
    assert torch.equal(alone, torch.ones(2, 2))


@pytest.mark.parametrize("trust", [1e-3, 0.5, 100.0])
def test_half_a_loss_at_twice_the_rate_is_the_same_step_of_clipped_lars(trust: float) -> None:
    """With half the decay: clipped or not, and of biases, too. So a recipe can be of a loss of another scale."""
    trained = []
    for scale in (1.0, 0.5):
        generator = torch.Generator().manual_seed(0)
        shapes = [(3, 4), (4,)]
        weights = [nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64)) for shape in shapes]
        settings = LARS(name="lars", lr=0.3 / scale, weight_decay=0.05 * scale, trust_coefficient=trust, clipped=True)
        optimizer = build_optimizer(settings, [{"params": weights}])
        for _ in range(3):
            for weight in weights:
                weight.grad = scale * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            optimizer.step()
        trained.append(weights)
    torch.testing.assert_close(*trained)


def slow_lars(weight: Tensor, velocity: Tensor, lr: Tensor, momentum: float, decay: float) -> None:
    """One step of one tensor of weights, in the order of the class's docstring."""
    assert weight.grad is not None
    update = weight.grad
    if weight.ndim > 1:
        update = weight.grad + decay * weight
        weight_norm, update_norm = weight.norm(), update.norm()
        if weight_norm > 0 and update_norm > 0:
            update = update * (1e-3 * weight_norm / update_norm)
    velocity.mul_(momentum).add_(update)
    weight.sub_(lr * velocity)


LISTS = {
    "both": [(40, 30), (30,), (4, 3, 3, 3), (), (7, 5)],
    "matrices": [(40, 30), (7, 5)],
    "vectors": [(30,), ()],
}


@pytest.mark.parametrize("decay", [0.0, 1e-3])
@pytest.mark.parametrize("shapes", LISTS.values(), ids=LISTS)
@torch.no_grad()
def test_lars_of_all_tensors_at_once_is_that_of_each_bit_for_bit(shapes: list[tuple[int, ...]], decay: float) -> None:
    """In two groups. The last tensor of each is zero at first, and one has no gradient in the second step."""
    generator = torch.Generator().manual_seed(0)
    weights = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in [*shapes, *shapes]]
    weights[-1].zero_()
    weights[len(shapes) - 1].zero_()
    expected = [weight.clone() for weight in weights]
    velocities = [torch.zeros_like(weight) for weight in weights]
    groups = [{"params": weights[: len(shapes)]}, {"params": weights[len(shapes) :], "lr": 2.0}]
    optimizer = build_optimizer(LARS(name="lars", lr=0.5, momentum=0.9, weight_decay=decay), groups)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)
    for step in range(3):
        for number, weight in enumerate(weights):
            gradient = torch.randn(weight.shape, generator=generator)
            without = step == 1 and number == 1
            weight.grad = None if without else gradient
            expected[number].grad = weight.grad
            if not without:
                lr = optimizer.param_groups[number >= len(shapes)]["lr"]
                slow_lars(expected[number], velocities[number], lr, 0.9, decay)
        optimizer.step()
        assert all(map(torch.equal, weights, expected))


def test_a_step_of_lars_has_as_many_operations_for_many_tensors_as_for_two() -> None:
    counts = []
    for shapes in ([(3, 2), (3,)], [(3, 2), (3,)] * 9):
        weights = [nn.Parameter(torch.ones(shape)) for shape in shapes]
        optimizer = build_optimizer(LARS(name="lars", lr=1.0), [{"params": weights}])
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        with Operations() as operations:
            optimizer.step()
        counts.append(len(operations.names))
    assert counts[0] == counts[1] < 30


def test_a_step_of_lars_is_as_long_as_the_trust_coefficient_says_however_large_the_gradient() -> None:
    for scale in (1e-3, 1.0, 1e6):
        weight = nn.Parameter(torch.full((4, 4), 2.0))
        weight.grad = scale * torch.ones(4, 4)
        build_optimizer(LARS(name="lars", lr=1.0), [{"params": [weight]}]).step()
        assert (2.0 - weight.detach()).norm().item() == pytest.approx(1e-3 * 8.0, rel=1e-3)


@each
def test_the_optimiser_has_every_setting(settings: Optimizer) -> None:
    optimizer = build_optimizer(settings, [{"params": [nn.Parameter(torch.ones(2, 2))]}])
    assert type(optimizer).__name__ == type(settings).__name__
    assert optimizer.defaults.items() >= settings.model_dump(exclude={"name"}).items()
    if settings.name != "lars":
        assert optimizer.defaults["fused"]


@each
def test_resumption_is_bit_equal(settings: Optimizer, tmp_path: Path) -> None:
    def go_on(folder: str, steps: int) -> Trainer:
        (tmp_path / folder).mkdir(exist_ok=True)
        trainer = new_trainer(tmp_path / folder, settings, gradient_clip=0.5)
        trainer.restore()
        while trainer.step < steps:
            trainer.train_step()
        return trainer

    start = go_on("new", 0).objective.state_dict()
    whole = go_on("whole", 8)
    go_on("parts", 3).save()
    resumed = go_on("parts", 8)
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(value, resumed.objective.state_dict()[name]), name
        assert not torch.equal(value, start[name]), f"{name} was not trained"


@each
def test_the_host_never_waits_for_a_step(settings: Optimizer, tmp_path: Path) -> None:
    trainer = new_trainer(tmp_path, settings, gradient_clip=0.5)
    with refuse_host_synchronisation():
        trainer.train_step()


@pytest.mark.parametrize("name", ["constant", "cosine"])
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.99])
def test_the_rates_of_all_steps_are_the_schedules_bit_for_bit(name: str, warmup: float) -> None:
    """Of each group its own; loading a state does not part the optimiser from them."""
    schedule = Schedule.model_validate({"name": name, "warmup": warmup})
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = build_optimizer(Adam(lr=0.3), [{"params": [weights[0]]}, {"params": [weights[1]], "lr": 8e-5}])
    rates = LearningRates(optimizer, schedule, 37, torch.device("cpu"))
    optimizer.load_state_dict(optimizer.state_dict())
    rates.attach()
    for step in range(37):
        rates.look_up(torch.tensor(step))
        factor = learning_rate_factor(schedule, step, 37)
        assert [float(group["lr"]) for group in optimizer.param_groups] == [0.3 * factor, 8e-5 * factor]


def test_a_long_gradient_is_shortened_and_a_short_one_stays() -> None:
    weights = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2, 2))]
    optimizer = build_optimizer(SGD(name="sgd", lr=1.0), [{"params": [w]} for w in weights])
    for norm, expected in ((None, 5.0), (10.0, 5.0), (2.0, 2.0)):
        weights[0].grad, weights[1].grad = torch.tensor([3.0, 0, 0]), torch.tensor([[0, 4.0], [0, 0]])
        clip_gradient(optimizer, norm)
        gradient = torch.cat([w.grad.flatten() for w in weights if w.grad is not None])
        assert gradient.norm().item() == pytest.approx(expected, rel=1e-5)
        assert (gradient[0] / gradient.norm()).item() == pytest.approx(0.6)


def test_the_clip_reaches_every_step(tmp_path: Path) -> None:
    """Without momentum and at a learning rate of 1, a step is as long as its gradient."""
    trainer = new_trainer(tmp_path, SGD(name="sgd", lr=1.0, momentum=0.0), gradient_clip=0.125)
    before = nn.utils.parameters_to_vector(trainer.objective.parameters()).detach().clone()
    trainer.train_step()
    moved = nn.utils.parameters_to_vector(trainer.objective.parameters()).detach() - before
    assert moved.norm().item() == pytest.approx(0.125, rel=1e-3)


def test_lars_goes_on_from_a_state_that_is_older_than_clipped() -> None:
    settings = LARS(name="lars", lr=0.5)
    assert "clipped" not in settings.model_dump()
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = build_optimizer(settings, [{"params": [weight]}])
    state = optimizer.state_dict()
    del state["param_groups"][0]["clipped"]
    optimizer.load_state_dict(state)
    weight.grad = torch.ones(2, 2)
    optimizer.step()
    assert not torch.equal(weight.detach(), torch.ones(2, 2))
