"""Densities against quadrature, against torch.distributions, and against each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from simssl.blocks.losses.gaussian import (
    expected_log_shared_mean,
    gaussian_entropy,
    kl_standard,
    log_normal,
    log_shared_mean,
    negative_entropy,
    reparameterize,
    shared_mean_nll,
)
from simssl.blocks.statistics.normal import moments, sample_normal

SIGMA2 = 0.15


def column(values: list[float]) -> Tensor:
    """One image, len(values) views, one latent dimension."""
    return torch.tensor(values, dtype=torch.float64)[None, :, None]


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("values", "uniform", "gaussian"),
    [([0.1, 0.5, -0.2], -1.3122854481, -2.2640846718), ([0.3, -0.4], -1.1336187978, -2.0898804524)],
)
def test_check_values_of_the_shared_mean(values: list[float], uniform: float, gaussian: float) -> None:
    assert log_shared_mean(column(values), SIGMA2).item() == pytest.approx(uniform, abs=1e-10)
    assert log_shared_mean(column(values), SIGMA2, 1.0).item() == pytest.approx(gaussian, abs=1e-10)


@pytest.mark.parametrize("gamma2", [None, 0.3, 1.0])
@pytest.mark.parametrize("J", [1, 2, 5])
def test_shared_mean_against_quadrature_over_psi(J: int, gamma2: float | None) -> None:
    z_J = draw(J) * 0.5
    psi_P = torch.linspace(-12, 12, 20001, dtype=torch.float64)
    log_p_P = log_normal(z_J[:, None], psi_P, SIGMA2).sum(0)
    if gamma2 is not None:
        log_p_P = log_p_P + log_normal(psi_P, 0.0, gamma2)
    integral = torch.trapezoid(log_p_P.exp(), psi_P).log()
    assert log_shared_mean(z_J[None, :, None], SIGMA2, gamma2).item() == pytest.approx(integral.item(), abs=1e-10)


def test_shared_mean_is_a_gaussian_of_correlated_views() -> None:
    z_BJD, gamma2 = draw(3, 4, 2), 0.7
    covariance = SIGMA2 * torch.eye(4, dtype=torch.float64) + gamma2
    reference_B = MultivariateNormal(torch.zeros(4, dtype=torch.float64), covariance).log_prob(z_BJD.mT).sum(1)
    torch.testing.assert_close(log_shared_mean(z_BJD, SIGMA2, gamma2), reference_B)


def test_wide_gaussian_recovers_the_uniform_form() -> None:
    z_BJD, gamma2 = draw(3, 4, 2), 1e9
    corrected_B = log_shared_mean(z_BJD, SIGMA2, gamma2) + 2 * 0.5 * math.log(2 * math.pi * gamma2)
    torch.testing.assert_close(corrected_B, log_shared_mean(z_BJD, SIGMA2), atol=1e-6, rtol=0)


def test_single_view_with_uniform_mean_has_no_density() -> None:
    torch.testing.assert_close(log_shared_mean(draw(3, 1, 2), SIGMA2), torch.zeros(3, dtype=torch.float64))


def test_release_default_is_the_gaussian_form() -> None:
    """-S/(2 sigma2) - zbar^2/2 differs by a constant from gamma2 = 1 - sigma2/J."""
    z_BJD = draw(8, 5, 3)
    zbar_BD = z_BJD.mean(1)
    release_B = -(z_BJD - zbar_BD[:, None]).square().sum((1, 2)) / (2 * SIGMA2) - zbar_BD.square().sum(1) / 2
    ours_B = log_shared_mean(z_BJD, SIGMA2, 1 - SIGMA2 / 5)
    torch.testing.assert_close(ours_B - ours_B[0], release_B - release_B[0])


@pytest.mark.parametrize("gamma2", [None, 0.5])
def test_expected_shared_mean_is_the_mean_over_samples(gamma2: float | None) -> None:
    mean, log_variance = draw(1, 4, 2), draw(1, 4, 2, seed=1) * 0.3 - 1
    samples = mean + draw(200_000, 4, 2, seed=2) * (0.5 * log_variance).exp()
    sampled = log_shared_mean(samples, SIGMA2, gamma2)
    exact = expected_log_shared_mean(mean, log_variance, SIGMA2, gamma2).item()
    assert sampled.mean().item() == pytest.approx(exact, abs=5 * (sampled.std() / len(samples) ** 0.5).item())


def test_log_normal_entropy_and_kl_against_torch() -> None:
    x, mean, log_variance = draw(5, 3), draw(5, 3, seed=1), draw(5, 3, seed=2)
    reference = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    standard = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1)
    torch.testing.assert_close(log_normal(x, mean, log_variance.exp()).sum(-1), reference.log_prob(x))
    torch.testing.assert_close(gaussian_entropy(log_variance), reference.entropy())
    torch.testing.assert_close(kl_standard(mean, log_variance), kl_divergence(reference, standard))


def test_kl_is_cross_entropy_minus_entropy() -> None:
    mean, log_variance = draw(5, 1, 3), draw(5, 1, 3, seed=1)
    cross = expected_log_shared_mean(mean, log_variance, SIGMA2, 1 - SIGMA2)
    torch.testing.assert_close(-cross - gaussian_entropy(log_variance)[:, 0], kl_standard(mean, log_variance)[:, 0])


def test_reparameterized_samples_have_the_moments_and_the_gradient() -> None:
    mean = torch.full((100_000,), 0.5, requires_grad=True)
    log_variance = torch.full((100_000,), math.log(0.25), requires_grad=True)
    generator = torch.Generator().manual_seed(0)
    sample = reparameterize(mean, log_variance, generator)
    assert sample.mean().item() == pytest.approx(0.5, abs=0.01)
    assert sample.var().item() == pytest.approx(0.25, abs=0.01)
    sample.sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(log_variance.grad, 0.5 * (sample - mean).detach())


def test_samples_have_mean_and_covariance_of_the_rows() -> None:
    z_ND = draw(50, 3) @ draw(3, 3, seed=1) + torch.tensor([1.0, -2.0, 5.0])
    found_ND = sample_normal(*moments(z_ND), 200_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found_ND.mean(0), z_ND.mean(0), atol=0.03, rtol=0)
    torch.testing.assert_close(found_ND.T.cov(), z_ND.T.cov(), atol=0.05, rtol=0.02)


def test_samples_of_a_singular_covariance_stay_in_its_plane() -> None:
    z_ND = draw(50, 2) @ draw(2, 4, seed=1)
    found_ND = sample_normal(*moments(z_ND.float()), 100, torch.Generator().manual_seed(0))
    assert found_ND.dtype == torch.float64
    assert torch.linalg.matrix_rank(found_ND, rtol=1e-6) == 2
    assert sample_normal(*moments(z_ND[:, :1]), 7, torch.Generator().manual_seed(0)).shape == (7, 1)


@pytest.mark.parametrize(("J", "gamma2"), [(1, None), (1, 0.85), (2, None), (5, None), (5, 0.97), (5, 3.0)])
def test_the_mean_of_the_shared_means_density_in_few_operations(J: int, gamma2: float | None) -> None:
    z_BJD = draw(3, J, 2).requires_grad_()
    expected = -log_shared_mean(z_BJD, SIGMA2, gamma2).mean()
    torch.testing.assert_close(shared_mean_nll(z_BJD, SIGMA2, gamma2), expected, atol=1e-12, rtol=1e-12)
    (gradient,) = torch.autograd.grad(3 * expected, z_BJD)
    (ours,) = torch.autograd.grad(3 * shared_mean_nll(z_BJD, SIGMA2, gamma2), z_BJD)
    torch.testing.assert_close(ours, gradient, atol=1e-12, rtol=1e-12)
    assert torch.autograd.gradcheck(lambda z: shared_mean_nll(z, SIGMA2, gamma2), z_BJD)
    assert torch.autograd.gradgradcheck(lambda z: shared_mean_nll(z, SIGMA2, gamma2), z_BJD)


def test_negative_entropy_is_the_entropys_mean() -> None:
    log_variance_BD = draw(4, 3).requires_grad_()
    torch.testing.assert_close(negative_entropy(log_variance_BD), -gaussian_entropy(log_variance_BD).mean())
    assert torch.autograd.gradcheck(negative_entropy, log_variance_BD)
