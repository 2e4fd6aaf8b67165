"""Split batch norm against a batch norm for each part."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from simssl.blocks.networks.batch_norm import SplitBatchNorm, follow_batches, has_batch_norm, split_batch_norm
from simssl.testing.operations import Operations

CASES = [(nn.BatchNorm1d, (12, 5)), (nn.BatchNorm1d, (12, 5, 3)), (nn.BatchNorm2d, (12, 5, 3, 2))]


def norm_and_batch(kind: type[nn.Module], shape: tuple[int, ...], affine: bool = True) -> tuple[nn.Module, Tensor]:
    generator = torch.Generator().manual_seed(0)
    norm = kind(shape[1], momentum=0.3, eps=1e-3, affine=affine).double()
    for tensor in (*norm.parameters(), norm.running_mean, norm.running_var):
        tensor.data = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.5
    return norm, torch.randn(shape, generator=generator, dtype=torch.float64) * torch.arange(1, 13).reshape(
        -1, *[1] * (len(shape) - 1)
    )


@pytest.mark.parametrize(("kind", "shape"), CASES)
@pytest.mark.parametrize("splits", [1, 3, 4])
@pytest.mark.parametrize("affine", [True, False])
def test_each_part_is_normalised_by_itself(
    kind: type[nn.Module], shape: tuple[int, ...], splits: int, affine: bool
) -> None:
    """Output, gradients and running statistics; two batches, so that the statistics go on from somewhere."""
    norm, x = norm_and_batch(kind, shape, affine)
    split, parts = SplitBatchNorm(splits, norm), [copy.deepcopy(norm) for _ in range(splits)]
    weights = torch.randn(shape, dtype=torch.float64)
    for batch in (x, x.flip(0) + 1):
        ours = batch.clone().requires_grad_()
        theirs = batch.clone().requires_grad_()
        normalised = split(ours)
        expected = torch.stack([part(theirs[n::splits]) for n, part in enumerate(parts)], dim=1).flatten(0, 1)
        torch.testing.assert_close(normalised, expected)
        (normalised * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(ours.grad, theirs.grad)
    for name, parameter in split.named_parameters():
        torch.testing.assert_close(parameter.grad, sum(part.get_parameter(name).grad for part in parts))
    for name in ("running_mean", "running_var"):
        torch.testing.assert_close(split.get_buffer(name), sum(p.get_buffer(name) for p in parts) / splits)
    assert split.num_batches_tracked.item() == 2


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_parts_of_images_in_each_layout_and_precision(
    layout: torch.memory_format, dtype: torch.dtype, affine: bool
) -> None:
    """Parameters and running statistics are float32, as under autocast. The layout of the images is kept."""
    norm, x = norm_and_batch(nn.BatchNorm2d, (12, 5, 3, 2), affine)
    norm, x = norm.float(), x.to(dtype).contiguous(memory_format=layout)
    split, parts = SplitBatchNorm(3, norm), [copy.deepcopy(norm) for _ in range(3)]
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    normalised = split(ours)
    expected = torch.stack([part(theirs[n::3]) for n, part in enumerate(parts)], dim=1).flatten(0, 1)
    assert normalised.is_contiguous(memory_format=layout)
    tolerance = 3e-2 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(normalised, expected, rtol=0, atol=tolerance)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    normalised.backward(weights)
    expected.backward(weights)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=tolerance)
    for name in ("running_mean", "running_var"):
        mean = sum(part.get_buffer(name) for part in parts) / 3
        torch.testing.assert_close(split.get_buffer(name), mean, rtol=1e-5, atol=1e-5)


def test_running_statistics_that_follow_later_are_those_that_follow_at_once() -> None:
    """Norms of several sizes, momenta and eps. What was not trained since stays."""
    at_once = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.BatchNorm1d(3, momentum=0.4, eps=0.1))
    later = split_batch_norm(copy.deepcopy(at_once), 2, follows_later=True)
    later.append(split_batch_norm(nn.BatchNorm1d(3), 3, follows_later=True))
    at_once = split_batch_norm(at_once, 2)
    at_once.append(split_batch_norm(nn.BatchNorm1d(3), 3))
    before = {name: buffer.clone() for name, buffer in later.named_buffers()}
    for _ in range(2):
        x = torch.randn(6, 4) * 3 + 1
        assert torch.equal(later(x), at_once(x))
        for name, buffer in later.named_buffers():
            assert "num_batches" in name or torch.equal(buffer, before[name])
        for _ in range(2):
            follow_batches(later)
        for (name, buffer), expected in zip(later.named_buffers(), at_once.buffers(), strict=True):
            assert torch.equal(buffer, expected), name
            before[name] = buffer.clone()


def test_running_statistics_of_all_norms_move_in_a_few_operations() -> None:
    norms = split_batch_norm(nn.Sequential(*[nn.BatchNorm1d(4) for _ in range(9)]), 2, follows_later=True)
    norms(torch.randn(6, 4))
    with Operations() as operations:
        follow_batches(norms)
    assert len(operations.names) == 10


def test_without_momentum_nothing_is_kept_of_a_batch() -> None:
    """As in a teacher."""
    norm = SplitBatchNorm(2, nn.BatchNorm1d(4, momentum=0.0), follows_later=True)
    norm(torch.randn(6, 4))
    assert norm.batch is None


def test_a_single_value_of_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="a part with one value a channel cannot be normalised"):
        SplitBatchNorm(3, nn.BatchNorm1d(4))(torch.randn(3, 4))
    SplitBatchNorm(3, nn.BatchNorm2d(4))(torch.randn(3, 4, 1, 2))


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_in_evaluation_it_is_batch_norm(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    norm, x = norm_and_batch(kind, shape)
    torch.testing.assert_close(SplitBatchNorm(5, norm).eval()(x), norm.eval()(x))


def test_a_batch_that_does_not_divide_is_refused() -> None:
    norm, x = norm_and_batch(*CASES[0])
    with pytest.raises(ValueError, match="12 images do not split into 5 equal parts"):
        SplitBatchNorm(5, norm)(x)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Sequential(nn.BatchNorm2d(4), nn.ReLU()), nn.Flatten(), nn.BatchNorm1d(4)
    )


def test_every_batch_norm_of_a_module_is_converted() -> None:
    plain = network().eval()
    state = copy.deepcopy(plain.state_dict())
    converted = split_batch_norm(plain, 2)
    assert [type(m) for m in converted.modules() if has_batch_norm(m) and not list(m.children())] == [
        SplitBatchNorm
    ] * 2
    assert not any(m.training for m in converted.modules())
    assert converted.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in converted.state_dict().items())
    alone = split_batch_norm(nn.BatchNorm1d(3, momentum=0.4, eps=0.5), 2)
    assert isinstance(alone, SplitBatchNorm)
    assert (alone.splits, alone.momentum, alone.eps) == (2, 0.4, 0.5)


class NormAndReLU(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).relu()


@pytest.mark.parametrize(
    ("norm", "message"),
    [
        (NormAndReLU(4), "kind NormAndReLU cannot be split"),
        (nn.BatchNorm3d(4), "kind BatchNorm3d cannot be split"),
        (nn.BatchNorm2d(4, momentum=None), "without a momentum"),
        (nn.BatchNorm2d(4, track_running_stats=False), "without a momentum or running statistics"),
    ],
)
def test_what_cannot_be_split_is_refused(norm: nn.Module, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_batch_norm(nn.Sequential(norm), 2)


def test_whether_there_is_batch_norm() -> None:
    assert has_batch_norm(network())
    assert has_batch_norm(split_batch_norm(network(), 2))
    assert not has_batch_norm(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.GroupNorm(1, 2)))


def test_without_momentum_the_running_statistics_stay_bit_for_bit() -> None:
    """As in a teacher, whose statistics follow its student's alone."""
    norm = SplitBatchNorm(6, nn.BatchNorm1d(50, momentum=0.0))
    before = [buffer.normal_().abs_().clone() for buffer in (norm.running_mean, norm.running_var)]
    norm.train()(torch.randn(24, 50))
    assert torch.equal(norm.running_mean, before[0])
    assert torch.equal(norm.running_var, before[1])
