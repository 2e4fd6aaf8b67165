"""beta-VAE and CR-VAE against plain loops, and as the VAE; what the four VAEs refuse of their likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from references import REGISTRY, assert_same_gradient, build, loss, views
from torch import Tensor

from simssl.api import Objective
from simssl.testing.fixtures import LATENT_DIM, SHAPE

pytestmark = pytest.mark.usefixtures("float64")


def slow_elbo(objective: Objective, x: Tensor, noise_D: Tensor, sigma2_x: float | None) -> tuple[Any, Any]:
    """-log p(x | z) and KL(q || N(0, I)) of one view, pixel by pixel and dimension by dimension."""
    posterior = objective.posterior(x[None])
    z = [m + e * v**0.5 for m, v, e in zip(posterior.mean[0], posterior.variance[0], noise_D, strict=True)]
    logits = objective.decode(torch.stack(z)[None])[0]
    reconstruction = 0
    for pixel, logit in zip(x.flatten(), logits.flatten(), strict=True):
        mean = 1 / (1 + (-logit).exp())
        if sigma2_x is None:
            reconstruction = reconstruction - (mean if pixel == 1 else 1 - mean).log()
        else:
            reconstruction = (
                reconstruction + (pixel - mean) ** 2 / (2 * sigma2_x) + math.log(2 * math.pi * sigma2_x) / 2
            )
    kl = sum(0.5 * (m**2 + v - 1 - v.log()) for m, v in zip(posterior.mean[0], posterior.variance[0], strict=True))
    return reconstruction, kl


def noise(M: int, seed: int = 7) -> Tensor:
    """What the loss draws with this seed for M views."""
    return torch.empty(M, LATENT_DIM, dtype=torch.float64).normal_(generator=torch.Generator().manual_seed(seed))


LIKELIHOODS = [({"sigma2_x": 0.1}, 0.1), ({}, 0.01), ({"likelihood": "bernoulli"}, None)]


@pytest.mark.parametrize(("params", "sigma2_x"), LIKELIHOODS)
@pytest.mark.parametrize("beta", [0.0, 2.5])
def test_beta_vae_against_loops(beta: float, params: dict[str, Any], sigma2_x: float | None) -> None:
    B, objective, x = 3, build("beta_vae", beta=beta, **params), views(3, 1)
    slow = [slow_elbo(objective, x[b, 0], noise(B)[b], sigma2_x) for b in range(B)]
    terms = loss(objective, x).loss
    torch.testing.assert_close(terms["reconstruction"], sum(r for r, _ in slow) / B)
    torch.testing.assert_close(terms["kl"], beta * sum(kl for _, kl in slow) / B)
    assert_same_gradient(objective, sum(terms.values()), sum(r + beta * kl for r, kl in slow) / B)


@pytest.mark.parametrize(("params", "sigma2_x"), LIKELIHOODS)
def test_cr_vae_against_loops(params: dict[str, Any], sigma2_x: float | None) -> None:
    """Per view, 1/2 [-L(x) - L(x~) + lambda KL(q(z|x~) || q(z|x))], the gradient through both posteriors."""
    B, objective, x = 2, build("cr_vae", lambda_=0.3, **params), views(2, 2)
    total = torch.zeros((), dtype=torch.float64)
    for b in range(B):
        for j in range(2):
            total = total + sum(slow_elbo(objective, x[b, j], noise(2 * B)[2 * b + j], sigma2_x)) / 2
        plain, augmented = (objective.posterior(x[b, j][None]) for j in (0, 1))
        for d in range(LATENT_DIM):
            m, v, m_, v_ = plain.mean[0, d], plain.variance[0, d], augmented.mean[0, d], augmented.variance[0, d]
            total = total + 0.3 / 2 * 0.5 * ((v / v_).log() + (v_ + (m_ - m) ** 2) / v - 1)
    ours = sum(loss(objective, x).loss.values())
    torch.testing.assert_close(ours, total / B)
    assert_same_gradient(objective, ours, total / B)


def test_cr_vae_measures_the_divergence_from_the_plain_image() -> None:
    """The other way round it would be another number; its first view is plain, its second random."""
    from simssl.blocks.losses.gaussian import kl_between

    objective, x = build("cr_vae", lambda_=1.0), views(4, 2)
    assert objective.views == ("plain", "random")
    (plain, v), (augmented, v_) = ((p.mean, p.variance.log()) for p in map(objective.posterior, x.unbind(1)))
    consistency = loss(objective, x).loss["consistency"]
    torch.testing.assert_close(consistency, kl_between(augmented, v_, plain, v).mean() / 2)
    assert not torch.isclose(consistency, kl_between(plain, v, augmented, v_).mean() / 2)


def assert_equal_bit_for_bit(one: Objective, x_one: Tensor, other: Objective, x_other: Tensor) -> None:
    other.load_state_dict(one.state_dict())
    both = [loss(one, x_one).loss, loss(other, x_other).loss]
    for name in ("reconstruction", "kl"):
        assert torch.equal(both[0][name], both[1][name])
    gradients = [
        torch.autograd.grad(sum(terms.values()), list(objective.parameters()))
        for terms, objective in zip(both, (one, other), strict=True)
    ]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("params", [params for params, _ in LIKELIHOODS])
def test_beta_vae_at_beta_1_is_the_vae_bit_for_bit(params: dict[str, Any]) -> None:
    assert_equal_bit_for_bit(build("vae", **params), views(4, 1), build("beta_vae", beta=1, **params), views(4, 1))


@pytest.mark.parametrize("params", [params for params, _ in LIKELIHOODS])
def test_cr_vae_at_lambda_0_is_the_vae_bit_for_bit(params: dict[str, Any]) -> None:
    """On each image twice, which its two views are."""
    x, cr_vae = views(4, 1).repeat_interleave(2, dim=0), build("cr_vae", lambda_=0, **params)
    assert_equal_bit_for_bit(build("vae", **params), x, cr_vae, x.unflatten(0, (4, 2))[:, :, 0])


def test_identical_views_are_consistent() -> None:
    x = views(4, 1).expand(4, 2, *SHAPE)
    assert loss(build("cr_vae", lambda_=5.0), x).loss["consistency"].item() == 0


def test_a_posterior_that_is_the_prior_costs_nothing() -> None:
    """Encoders that return 0: mean 0 and log variance 0, whatever the image."""
    for name, x in (("vae", views(3, 1)), ("beta_vae", views(3, 1)), ("cr_vae", views(3, 2))):
        objective = build(name)
        torch.nn.init.zeros_(objective.model.encoder[-1].weight)
        torch.nn.init.zeros_(objective.model.encoder[-1].bias)
        terms = loss(objective, x).loss
        assert {terms[n].item() for n in terms if n != "reconstruction"} == {0.0}


@pytest.mark.parametrize("name", ["vae", "simvae", "beta_vae", "cr_vae"])
def test_a_variance_of_bernoulli_is_found_by_check(
    name: str, simssl: Callable[..., Any], small: Callable[..., Path]
) -> None:
    """With file, line and column of the variance, before anything is built."""
    file = small(objective={"name": name, "likelihood": "bernoulli", "sigma2_x": 0.1})
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "sigma2_x" in text)
    result = simssl("check", file)
    assert result.exit_code == 2
    assert f"small.yaml:{line}:" in result.stderr
    assert "a Bernoulli likelihood has no variance: leave out 'sigma2_x', or choose gaussian" in result.stderr
    fine = small(objective={"name": name, "likelihood": "bernoulli"}, views={"crop": {}, "finish": {"threshold": 0.5}})
    assert simssl("check", fine).exit_code == 0


@pytest.mark.parametrize("name", ["vae", "simvae", "beta_vae", "cr_vae"])
def test_the_choice_of_likelihood_keeps_to_the_rules_of_params(name: str) -> None:
    from pydantic import ValidationError

    Params = REGISTRY.load("objective", name).Params
    for wrong in ({"sigma2_x": "0.1"}, {"sigma2_x": float("inf")}, {"sigma2_x": 0}, {"sigma2": "x"}, {"other": 1}):
        with pytest.raises(ValidationError):
            Params(**wrong)
    with pytest.raises(ValidationError, match="frozen"):
        Params().sigma2_x = 0.1
