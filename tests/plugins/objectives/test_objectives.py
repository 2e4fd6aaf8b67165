"""The objectives' losses against slow references and against one another."""

from __future__ import annotations

import math

import pytest
import torch
from references import REGISTRY, assert_same_gradient, build, loss, views
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from simssl.api import Objective
from simssl.testing.fixtures import LATENT_DIM

pytestmark = pytest.mark.usefixtures("float64")


def samples(objective: Objective, x_BJCHW: Tensor, seed: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, variance and the sample that the loss draws with this seed, each (B, J, D)."""
    posterior = objective.posterior(x_BJCHW.flatten(0, 1))
    noise = torch.empty_like(posterior.mean).normal_(generator=torch.Generator().manual_seed(seed))
    z = posterior.mean + noise * posterior.variance.sqrt()
    return tuple(t.unflatten(0, x_BJCHW.shape[:2]) for t in (posterior.mean, posterior.variance, z))  # type: ignore[return-value]


def slow_reconstruction(objective: Objective, x: Tensor, z: Tensor, sigma2_x: float | None) -> Tensor:
    """-log p(x | z) of one view, pixel by pixel."""
    mean = objective.decode(z[None])[0].sigmoid()
    total = torch.zeros((), dtype=torch.float64)
    for pixel, expected in zip(x.flatten(), mean.flatten(), strict=True):
        if sigma2_x is None:
            total = total - (expected if pixel == 1 else 1 - expected).log()
        else:
            total = total + (pixel - expected) ** 2 / (2 * sigma2_x) + math.log(2 * math.pi * sigma2_x) / 2
    return total


LIKELIHOODS = [{"sigma2_x": 0.1}, {}, {"likelihood": "bernoulli"}]


def sigma2_x_of(params: dict[str, object]) -> float | None:
    return None if "likelihood" in params else params.get("sigma2_x", 0.01)  # type: ignore[return-value]


@pytest.mark.parametrize("params", LIKELIHOODS)
def test_vae_against_loops(params: dict[str, object]) -> None:
    objective, x = build("vae", **params), views(3, 1)
    mean, variance, z = samples(objective, x)
    terms = loss(objective, x).loss
    reconstruction = sum(slow_reconstruction(objective, x[b, 0], z[b, 0], sigma2_x_of(params)) for b in range(3)) / 3
    standard = Independent(Normal(torch.zeros(LATENT_DIM).double(), torch.ones(LATENT_DIM).double()), 1)
    kl = sum(kl_divergence(Independent(Normal(mean[b, 0], variance[b, 0].sqrt()), 1), standard) for b in range(3)) / 3
    torch.testing.assert_close(terms["reconstruction"], reconstruction)
    torch.testing.assert_close(terms["kl"], kl)
    assert_same_gradient(objective, sum(terms.values()), reconstruction + kl)


@pytest.mark.parametrize("params", LIKELIHOODS)
@pytest.mark.parametrize("gamma2", [None, 0.5])
def test_simvae_against_loops(params: dict[str, object], gamma2: float | None) -> None:
    B, J, sigma2 = 2, 3, 0.15
    objective, x = build("simvae", J=J, sigma2=sigma2, gamma2=gamma2, **params), views(B, J)
    _, variance, z = samples(objective, x)
    covariance = sigma2 * torch.eye(J).double() + (1 - sigma2 / J if gamma2 is None else gamma2)
    prior = MultivariateNormal(torch.zeros(J).double(), covariance)
    total = torch.zeros((), dtype=torch.float64)
    for b in range(B):
        total = total - sum(prior.log_prob(z[b, :, d]) for d in range(LATENT_DIM))
        for j in range(J):
            total = total + slow_reconstruction(objective, x[b, j], z[b, j], sigma2_x_of(params))
            total = total - Normal(0.0, variance[b, j].sqrt()).entropy().sum()
    ours = sum(loss(objective, x).loss.values())
    torch.testing.assert_close(ours, total / (B * J))
    assert_same_gradient(objective, ours, total / (B * J))


def test_simvae_of_one_view_is_the_vae() -> None:
    """J = 1, gamma2 = 1 - sigma2, the prior in closed form: the same loss and gradient, term by term."""
    x = views(4, 1)
    vae, simvae = build("vae"), build("simvae", J=1, gamma2=1 - 0.15, prior="closed_form")
    simvae.load_state_dict(vae.state_dict())
    ours, reference = loss(simvae, x).loss, loss(vae, x).loss
    torch.testing.assert_close(ours["reconstruction"], reference["reconstruction"])
    torch.testing.assert_close(ours["entropy"] + ours["prior"], reference["kl"])


@pytest.mark.parametrize("psi", ["gaussian", "uniform"])
def test_sampled_prior_averages_to_the_closed_form(psi: str) -> None:
    x = views(2, 3)
    sampled, closed = (build("simvae", J=3, psi=psi, prior=prior) for prior in ("sampled", "closed_form"))
    exact = loss(closed, x).loss["prior"].item()
    draws = torch.stack([loss(sampled, x, seed).loss["prior"] for seed in range(2000)]).detach()
    assert draws.mean().item() == pytest.approx(exact, abs=5 * draws.std().item() / 2000**0.5)


def test_uniform_psi_ignores_where_the_views_are() -> None:
    objective = build("simvae", J=3, psi="uniform", prior="closed_form")
    mean, log_variance = torch.randn(2, 3, 4).double(), torch.randn(2, 3, 4).double()
    moved = objective._prior(mean + 5, log_variance, mean)
    torch.testing.assert_close(moved, objective._prior(mean, log_variance, mean))


def test_simclr_measures_the_projection_of_the_pairs() -> None:
    from simssl.blocks.losses.contrast import nt_xent

    objective, x = build("simclr", temperature=0.2, head=(8, 3)), views(4, 2)
    za, zb = (objective.layers(x[:, j])["projection"] for j in (0, 1))
    assert za.shape == (4, 3)
    torch.testing.assert_close(loss(objective, x).loss["nt_xent"], nt_xent(za, zb, 0.2))


def test_simclr_representation_is_the_encoders_output() -> None:
    objective, x = build("simclr"), views(4, 2)
    torch.testing.assert_close(objective.posterior(x[:, 0]).mean, objective.encoder(x[:, 0]))
    assert objective.posterior(x[:, 0]).variance is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"psi": "uniform", "gamma2": 1.0}, "no variance"),
        ({"psi": "uniform", "J": 1}, "take a J of 2 or more"),
        ({"J": 1, "sigma2": 1.5}, "would not be positive"),
        ({"likelihood": "bernoulli", "sigma2_x": 0.1}, "no variance"),
    ],
)
def test_simvae_refuses_what_makes_no_sense(params: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("simvae", **params)


def test_default_gamma2_is_the_releases() -> None:
    assert REGISTRY.load("objective", "simvae").Params(J=5, sigma2=0.2).variance_of_psi == pytest.approx(1 - 0.2 / 5)


def test_simclr_compares_with_the_views_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With gathered rows standing for another process's, the loss is the one over both batches."""
    import importlib

    from simssl.blocks.losses.contrast import nt_xent

    objective, x, others = build("simclr", temperature=0.5), views(4, 2), views(4, 2).flip(0)
    za, zb = (objective.layers(torch.cat([x, others])[:, j])["projection"] for j in (0, 1))
    module = importlib.import_module(type(objective).__module__)
    rows = iter((za, zb))
    monkeypatch.setattr(module, "gather", lambda z: next(rows))
    torch.testing.assert_close(loss(objective, x).loss["nt_xent"], nt_xent(za, zb, 0.5))
