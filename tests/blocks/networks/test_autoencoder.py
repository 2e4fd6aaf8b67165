"""The terms of an evidence lower bound, and the divergence between two Gaussians."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence

from simssl.blocks.losses.gaussian import kl_between, kl_standard, log_normal
from simssl.blocks.losses.likelihoods import Gaussian
from simssl.blocks.networks.autoencoder import GaussianAutoencoder


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_kl_between_against_torch() -> None:
    mean, log_variance, to_mean, to_log_variance = (draw(5, 3, seed=s) for s in range(4))
    one, other = (
        Independent(Normal(m, (0.5 * v).exp()), 1) for m, v in ((mean, log_variance), (to_mean, to_log_variance))
    )
    divergence = kl_between(mean, log_variance, to_mean, to_log_variance)
    torch.testing.assert_close(divergence, kl_divergence(one, other))


def test_kl_between_against_quadrature() -> None:
    x = torch.linspace(-30, 30, 60001, dtype=torch.float64)
    p, q = log_normal(x, 0.3, 0.5), log_normal(x, -0.4, 1.7)
    integral = torch.trapezoid(p.exp() * (p - q), x).item()
    values = (torch.tensor([v], dtype=torch.float64) for v in (0.3, math.log(0.5), -0.4, math.log(1.7)))
    assert kl_between(*values).item() == pytest.approx(integral, abs=1e-10)


def test_kl_to_itself_is_zero_and_to_the_standard_normal_the_known_one() -> None:
    mean, log_variance = draw(5, 3), draw(5, 3, seed=1)
    assert torch.equal(kl_between(mean, log_variance, mean, log_variance), torch.zeros(5).double())
    zero = torch.zeros_like(mean)
    torch.testing.assert_close(kl_between(mean, log_variance, zero, zero), kl_standard(mean, log_variance))


def test_a_sample_is_inferred_drawn_and_decoded() -> None:
    torch.manual_seed(0)
    model = GaussianAutoencoder(
        lambda outputs: nn.Sequential(nn.Flatten(), nn.Linear(4, outputs)),
        lambda inputs: nn.Sequential(nn.Linear(inputs, 4), nn.Unflatten(1, (1, 2, 2))),
        3,
    )
    x = torch.rand(6, 1, 2, 2)
    sample = model.sample(x, Gaussian(0.1).nll, torch.Generator().manual_seed(1))
    mean, log_variance = model.infer(x)
    noise = torch.empty(6, 3).normal_(generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(sample.z_BD, mean + noise * (log_variance / 2).exp())
    log_likelihood = Gaussian(0.1).log_prob(x, model.decode(sample.z_BD))
    torch.testing.assert_close(sample.reconstruction, -log_likelihood.sum() / 6)
    torch.testing.assert_close(sample.kl, kl_standard(mean, log_variance).sum() / 6)


@pytest.mark.parametrize("w", [1.0, 30.0, 70.0, 1e4])
def test_an_outlying_posterior_does_not_take_over_the_loss(w: float) -> None:
    """Its divergence and gradient are bounded, but lead back; what is no outlier is as the network says."""
    raw = torch.tensor([[0.0, -6.0], [0.0, -1.0], [0.0, 0.0], [0.0, w]], requires_grad=True)
    model = GaussianAutoencoder(lambda outputs: nn.Identity(), lambda inputs: nn.Identity(), 1)
    _, log_variance = model.infer(raw)
    assert torch.equal(log_variance[:3], raw[:3, 1:])
    assert log_variance[3].item() == pytest.approx(math.log(1 + w))
    divergence = kl_standard(torch.zeros(4, 1), log_variance)
    assert 0 < divergence[3] < w / 2
    exact = raw.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: model.infer(w)[1], exact, eps=1e-7)
    assert torch.autograd.gradgradcheck(lambda w: model.infer(w)[1], exact[1:2] + 1.5)
    divergence.sum().backward()
    assert raw.grad is not None
    assert raw.grad[2, 1] == 0
    assert 0.1 < raw.grad[3, 1] < 0.5
