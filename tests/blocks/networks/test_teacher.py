"""A teacher is the moving average of its student, buffers included, and of nothing else."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from simssl.blocks.networks.teacher import Teacher, cosine_momentum
from simssl.testing.host_sync import refuse_host_synchronisation
from simssl.testing.operations import Operations


def student() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def moved(network: nn.Module) -> None:
    """Gives every parameter and buffer another value, as training does."""
    network.train()(torch.randn(8, 3) + 1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn_like(p))


def test_it_starts_as_a_copy_without_gradients() -> None:
    network = student()
    teacher = Teacher(network)
    x = torch.randn(5, 3)
    assert torch.equal(teacher.eval()(x), network.eval()(x))
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(x.requires_grad_()).requires_grad
    moved(network)
    assert not torch.equal(teacher(x), network.eval()(x))


def test_its_state_holds_the_student_no_second_time() -> None:
    assert set(Teacher(student()).state_dict()) == {f"network.{name}" for name in student().state_dict()}


@pytest.mark.parametrize("momentum", [0.0, 0.25, 0.9, 1.0])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_update_is_the_moving_average_value_by_value(momentum: float, as_tensor: bool) -> None:
    network = student()
    teacher = Teacher(network)
    for _ in range(3):
        moved(network)
        old = {name: value.tolist() for name, value in teacher.network.state_dict().items()}
        weight = torch.full((), momentum) if as_tensor else momentum
        with refuse_host_synchronisation():
            teacher.update(weight)
        for name, value in teacher.network.state_dict().items():
            new = network.state_dict()[name].tolist()
            if name == "1.num_batches_tracked":
                assert value.tolist() == new
            else:
                torch.testing.assert_close(value, torch.tensor(average(old[name], new, momentum)))


class Masked(nn.Linear):
    """A layer with buffers that are no averages: of several types and shapes."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.register_buffer("mask", torch.tensor([True, False]))
        self.register_buffer("used", torch.zeros(2, 3, dtype=torch.int32))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))


def test_buffers_that_are_no_averages_are_copied_in_one_call() -> None:
    network = nn.Sequential(Masked(), Masked())
    teacher = Teacher(network)
    for layer in network:
        layer.mask.logical_not_()
        layer.used.fill_(7)
        layer.steps.fill_(2**40 + 1)
    with Operations() as operations:
        teacher.update(0.5)
    assert operations.names == ["_foreach_sub", "_foreach_mul_", "_foreach_add_", "_foreach_copy_"]
    for name, buffer in network.named_buffers():
        assert torch.equal(teacher.network.get_buffer(name), buffer)


def test_a_student_without_such_buffers_is_followed() -> None:
    teacher = Teacher(nn.Linear(3, 2))
    teacher.update(0.5)


def average(old: list[float], new: list[float], momentum: float) -> list[float]:
    """momentum * old + (1 - momentum) * new, number by number, however deep the lists."""
    if isinstance(old, list):
        return [average(a, b, momentum) for a, b in zip(old, new, strict=True)]  # type: ignore[arg-type]
    return momentum * old + (1 - momentum) * new  # type: ignore[return-value]


def test_it_moves_by_update_alone() -> None:
    """In training it normalises as the student would, by the batch; its running statistics stay."""
    network = student()
    teacher = Teacher(network)
    before = copy.deepcopy(teacher.network.state_dict())
    x = torch.randn(8, 3) + 2
    torch.testing.assert_close(teacher.train()(x), network.train()(x))
    for name in ("1.running_mean", "1.running_var", "0.weight"):
        assert torch.equal(teacher.network.state_dict()[name], before[name])
    assert not torch.equal(network.state_dict()["1.running_mean"], before["1.running_mean"])


class Owner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = student()
        self.teacher = Teacher(nn.Sequential(self.encoder))


def test_it_follows_the_student_of_its_own_owner() -> None:
    """After a copy, or a change of precision, of the module that holds both."""
    owner = Owner()
    copied = copy.deepcopy(owner).double()
    with torch.no_grad():
        copied.encoder[0].weight.fill_(7.0)
    copied.teacher.update(0.0)
    owner.teacher.update(0.0)
    assert torch.equal(copied.teacher.network[0][0].weight, torch.full((4, 3), 7.0, dtype=torch.float64))
    torch.testing.assert_close(owner.teacher.network[0][0].weight, owner.encoder[0].weight)


@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0), (1 / 3, 0.925)])
def test_momentum_rises_by_a_cosine(progress: float, expected: float) -> None:
    momentum: Tensor = cosine_momentum(0.9, torch.full((), progress))
    assert momentum.shape == ()
    assert math.isclose(momentum.item(), expected, abs_tol=1e-6)
