"""What processes exchange is what one process would have had: rows, draws, gradients, statistics of a batch."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from simssl.blocks.distributed import average, copy_from_first, draw_rows, gather, own_rows, rank, world_size
from simssl.blocks.losses import nt_xent, reparameterize
from simssl.blocks.networks import split_batch_norm, synchronise_batch_norm
from simssl.testing.members import on_members

SIZES = pytest.mark.parametrize("size", [1, 2, 4])


def numbers(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_alone_nothing_is_exchanged() -> None:
    x = numbers(4, 3)
    assert (rank(), world_size()) == (0, 1)
    assert gather(x) is x
    assert torch.equal(own_rows(x), x)
    before = x.clone()
    average([x])
    copy_from_first([x])
    assert torch.equal(x, before)


@SIZES
def test_rows_are_gathered_in_the_order_of_the_ranks(size: int) -> None:
    x = numbers(8, 3)
    for gathered in on_members(size, lambda rank: gather(own_rows(x))):
        assert torch.equal(gathered, x)


@SIZES
def test_the_average_of_the_losses_has_the_gradient_of_the_loss_of_the_whole_batch(size: int) -> None:
    """For a loss over gathered rows, and for a mean over own rows."""
    za_BD, zb_BD = numbers(2, 8, 3)
    weight = numbers(3, 3, seed=1)

    def gradient(rank: int) -> Tensor:
        weight_DD = weight.clone().requires_grad_()
        za = own_rows(za_BD) @ weight_DD
        zb = own_rows(zb_BD) @ weight_DD
        loss = nt_xent(gather(za), gather(zb), 0.5) + F.mse_loss(za, zb)
        loss.backward()
        assert weight_DD.grad is not None
        average([weight_DD.grad])
        return weight_DD.grad

    (alone,) = on_members(1, gradient)
    for shared in on_members(size, gradient):
        assert torch.allclose(shared, alone, rtol=1e-12, atol=1e-14)


@SIZES
def test_noise_does_not_depend_on_the_number_of_processes(size: int) -> None:
    mean_BD = numbers(8, 3)
    whole = reparameterize(mean_BD, mean_BD, torch.Generator().manual_seed(1))

    def sample(rank: int) -> Tensor:
        own = own_rows(mean_BD)
        generator = torch.Generator().manual_seed(1)
        z_BD = reparameterize(own, own, generator)
        return torch.cat([z_BD.flatten(), torch.randn(2, generator=generator)])

    for number, drawn in enumerate(on_members(size, sample)):
        rows = 8 // size
        assert torch.equal(drawn[:-2], whole[number * rows : (number + 1) * rows].flatten())
        assert torch.equal(drawn[-2:], sample(0)[-2:]), "all generators stand where one would"


def test_rows_are_drawn_for_all() -> None:
    counts: list[int] = []

    def draw(count: int) -> Tensor:
        counts.append(count)
        return torch.arange(count)

    assert [rows.tolist() for rows in on_members(2, lambda rank: draw_rows(3, draw))] == [[0, 1, 2], [3, 4, 5]]
    assert counts == [6, 6]


def test_tensors_of_several_types_are_averaged_and_copied() -> None:
    def work(rank: int) -> list[Tensor]:
        tensors = [torch.full((2,), float(rank)), torch.full((1, 2), 2.0 * rank, dtype=torch.float64)]
        average(tensors)
        flag = torch.tensor([rank == 0])
        count = torch.tensor(7 + rank)
        strided = torch.full((2, 3), float(rank)).T
        copy_from_first([flag, count, strided])
        return [*tensors, flag, count, strided]

    for mean, double, flag, count, strided in on_members(2, work):
        assert mean.tolist() == [0.5, 0.5]
        assert double.tolist() == [[1, 1]]
        assert flag.item() is True
        assert count.item() == 7
        assert not strided.any()


# --- batch norm ------------------------------------------------------------------------------------------

NORMS = {
    "rows": (lambda: nn.BatchNorm1d(3), (8, 3)),
    "images": (lambda: nn.BatchNorm2d(3), (8, 3, 4, 5)),
    "without weights": (lambda: nn.BatchNorm2d(3, affine=False), (8, 3, 2, 2)),
    "cumulative": (lambda: nn.BatchNorm1d(3, momentum=None), (8, 3)),
    "without running statistics": (lambda: nn.BatchNorm1d(3, track_running_stats=False), (8, 3)),
    "in four parts": (lambda: split_batch_norm(nn.BatchNorm2d(3), 4), (8, 3, 2, 2)),
    "far from 0": (lambda: nn.BatchNorm1d(3), (8, 3)),
}


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize("kind", NORMS)
def test_batch_norm_is_that_of_the_whole_batch(kind: str, size: int) -> None:
    """Its output, its gradients and its running statistics. With four parts and four processes each has some of all."""
    make, shape = NORMS[kind]
    norm = make().double()
    for number, parameter in enumerate(norm.parameters()):
        parameter.data = numbers(*parameter.shape, seed=number + 2)
    x_BC = numbers(*shape) + (1e4 if kind == "far from 0" else 0)
    target = numbers(*shape, seed=1)

    def trained(module: nn.Module, x: Tensor, to: Tensor) -> list[Tensor]:
        x = x.clone().requires_grad_()
        y = module(x)
        (y * to).mean().backward()
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        average(gradients)
        assert x.grad is not None
        state = [value.clone().double() for value in module.state_dict().values()]
        return [gather(y.detach()), gather(x.grad / world_size()), *gradients, *state]

    alone = trained(copy.deepcopy(norm), x_BC, target)

    def on_process(rank: int) -> list[Tensor]:
        module = copy.deepcopy(norm)
        synchronise_batch_norm(module)
        return trained(module, own_rows(x_BC), own_rows(target))

    for shared in on_members(size, on_process):
        for one, other in zip(shared, alone, strict=True):
            assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_in_evaluation_batch_norm_stays_what_it_is() -> None:
    norm = nn.BatchNorm1d(3).double()
    norm(numbers(8, 3))
    expected = norm.eval()(numbers(4, 3, seed=1))
    synchronise_batch_norm(norm)
    assert torch.equal(norm(numbers(4, 3, seed=1)), expected)


def test_under_autocast_its_statistics_are_float32() -> None:
    norm = nn.BatchNorm1d(3)
    x = numbers(8, 3).to(torch.bfloat16)
    expected = copy.deepcopy(norm)(x)

    def on_process(rank: int) -> Tensor:
        module = copy.deepcopy(norm)
        synchronise_batch_norm(module)
        with torch.autocast("cpu", torch.bfloat16):
            return gather(module(own_rows(x)).float())

    for shared in on_members(2, on_process):
        assert torch.allclose(shared, expected.float(), atol=2e-2)


class Other(nn.BatchNorm1d):
    """Batch norm that does something else besides."""


def test_batch_norm_of_another_kind_is_refused_by_name() -> None:
    module = nn.Sequential(nn.Linear(2, 2), Other(2))
    with pytest.raises(ValueError, match="'1' is batch norm of the kind Other, which several processes cannot share"):
        synchronise_batch_norm(module)


def test_a_single_value_is_refused_as_torch_refuses_it() -> None:
    norms = nn.Sequential(nn.BatchNorm1d(3))
    synchronise_batch_norm(norms)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        norms(torch.zeros(1, 3))
    assert norms[0].running_var.isfinite().all()
