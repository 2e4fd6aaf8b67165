"""Likelihoods against torch.distributions, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Normal

from simssl.blocks.losses.likelihoods import Bernoulli, Categorical, Gaussian, likelihood

LOGITS = torch.linspace(-3, 3, 2 * 1 * 4 * 4).view(2, 1, 4, 4)


def test_gaussian_is_normal_around_the_sigmoid() -> None:
    x = torch.rand(LOGITS.shape, generator=torch.Generator().manual_seed(0))
    reference = Normal(LOGITS.sigmoid(), 0.1).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Gaussian(0.01).log_prob(x, LOGITS), reference)


def test_bernoulli_sums_over_pixels() -> None:
    x = (LOGITS.sin() > 0).float()
    reference = TorchBernoulli(logits=LOGITS).log_prob(x).sum((1, 2, 3))
    torch.testing.assert_close(Bernoulli().log_prob(x, LOGITS), reference)


def test_half_precision_logits_are_summed_in_float32() -> None:
    for p_x in (Gaussian(0.01), Bernoulli()):
        assert p_x.log_prob(torch.ones(2, 1, 4, 4), LOGITS.bfloat16()).dtype == torch.float32
        assert p_x.nll(torch.ones(2, 1, 4, 4), LOGITS.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "categorical"])
def test_nll_is_the_mean_of_the_density(name: str) -> None:
    logits = LOGITS.double().requires_grad_()
    p_x: Gaussian | Bernoulli | Categorical = Gaussian(0.03)
    x = torch.rand(LOGITS.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if name == "bernoulli":
        p_x, x = Bernoulli(), x.round()
    if name == "categorical":
        p_x, x, logits = (
            Categorical(),
            torch.tensor([[0, 3, 1, 2], [1, 1, 0, 3]]),
            LOGITS.double()[:, 0].requires_grad_(),
        )
    expected = -p_x.log_prob(x, logits).mean()
    torch.testing.assert_close(p_x.nll(x, logits), expected, atol=0, rtol=1e-12)
    (gradient,) = torch.autograd.grad(expected, logits)
    (ours,) = torch.autograd.grad(p_x.nll(x, logits), logits)
    torch.testing.assert_close(ours, gradient, atol=0, rtol=1e-12)


def test_bernoulli_refuses_a_variance_and_grey_images() -> None:
    with pytest.raises(ValueError, match="no variance"):
        likelihood("bernoulli", 0.01, binary=True)
    with pytest.raises(ValueError, match=r"views\.finish\.threshold"):
        likelihood("bernoulli", None, binary=False)
    assert likelihood("gaussian", None, binary=False) == Gaussian(0.01)


def test_protocols_name_a_likelihood_as_they_always_have() -> None:
    """Numbers whose protocols differ stand in different columns of a report, so the words must not change."""
    assert str(likelihood("gaussian", None, binary=False)) == "Gaussian(sigma2_x=0.01)"
    assert str(likelihood("bernoulli", None, binary=True)) == "Bernoulli()"

    class Laplace(Gaussian):
        """Another likelihood with one scale."""

    assert str(Laplace(0.1)).endswith("Laplace(sigma2_x=0.1)")
