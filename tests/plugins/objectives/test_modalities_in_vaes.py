"""SimVAE with modalities, and MoPoE, against plain loops; and SimVAE without modalities as it was."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from references import REGISTRY, assert_same_gradient, build, captions, loss, views
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, MultivariateNormal, Normal

from simssl.blocks import losses
from simssl.testing.checks import CHECKS
from simssl.testing.fixtures import LATENT_DIM

SimVae = REGISTRY.load("objective", "simvae")
MoPoe = REGISTRY.load("objective", "mopoe")


class WithModalities(SimVae):
    """SimVAE with both modalities of the small data."""

    class Params(SimVae.Params):
        J: int = 2
        modalities: tuple[str, ...] = ("caption", "attributes")


class OfAttributes(MoPoe):
    """MoPoE with a vector."""

    class Params(MoPoe.Params):
        modality: str = "attributes"


CHECKED = (
    "gradient_reaches_every_trainable_parameter",
    "small_step_along_the_negative_gradient_lowers_the_loss",
    "permuting_the_images_changes_only_rounding",
    "resumed_run_is_bit_equal",
    "host_never_waits_in_a_step",
    "replayed_steps_are_the_eager_ones",
    "two_processes_train_as_one",
)


@pytest.mark.parametrize("check", CHECKED)
@pytest.mark.parametrize("objective", [WithModalities, OfAttributes])
def test_the_suite_with_other_parameters(objective: type[Any], check: str, tmp_path: Path) -> None:
    CHECKS["objective"][check](objective, tmp_path)


def log_of_modality(objective: Any, model: Any, name: str, z_D: Tensor, b: int) -> Tensor:
    """log p(x_m | z) of image b, word by word or entry by entry."""
    logits = model.decode(z_D[None])[0]
    value = captions(b + 1)[name][b]
    total = torch.zeros((), dtype=torch.float64)
    for entry, logit in zip(value, logits, strict=True):
        law = Categorical(logits=logit) if name == "caption" else Bernoulli(logits=logit)
        total = total + law.log_prob(entry)
    return total


def log_of_image(objective: Any, z_D: Tensor, x: Tensor) -> Tensor:
    mean = objective.decode(z_D[None])[0].sigmoid()
    log_prob: Tensor = Normal(mean, math.sqrt(0.01)).log_prob(x).sum()
    return log_prob


def entropy(variance_D: Tensor) -> Tensor:
    return Normal(torch.zeros_like(variance_D), variance_D.sqrt()).entropy().sum()


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_simvae_with_modalities_is_the_bound_of_plain_loops(weight: float) -> None:
    B, J, names = 3, 2, ("caption", "attributes")
    objective = build("simvae", J=J, modalities=names, modality_weight=weight, sigma2=0.15)
    x = views(B, J)
    terms = loss(objective, x).loss
    assert set(terms) == {
        "reconstruction",
        "entropy",
        "reconstruction_caption",
        "entropy_caption",
        "reconstruction_attributes",
        "entropy_attributes",
        "prior",
    }
    generator = torch.Generator().manual_seed(7)

    def noise(rows: int) -> Tensor:
        return torch.empty(rows, LATENT_DIM, dtype=torch.float64).normal_(generator=generator)

    of_views = noise(B * J).view(B, J, LATENT_DIM)
    of_modalities = {name: noise(B) for name in names}
    S, gamma2 = J + 2, 1 - 0.15 / 4
    covariance = 0.15 * torch.eye(S, dtype=torch.float64) + gamma2
    prior = MultivariateNormal(torch.zeros(S, dtype=torch.float64), covariance)
    bound = torch.zeros((), dtype=torch.float64)
    for b in range(B):
        z = []
        for j in range(J):
            q = objective.posterior(x[b, j][None])
            z.append(q.mean[0] + of_views[b, j] * q.variance[0].sqrt())
            bound = bound + log_of_image(objective, z[-1], x[b, j]) + entropy(q.variance[0])
        for name in names:
            q = objective.modality_posterior(name, captions(B)[name][b][None])
            z.append(q.mean[0] + of_modalities[name][b] * q.variance[0].sqrt())
            log_prob = log_of_modality(objective, objective.modality_models[name], name, z[-1], b)
            bound = bound + weight * log_prob + entropy(q.variance[0])
        bound = bound + sum(prior.log_prob(torch.stack([sample[d] for sample in z])) for d in range(LATENT_DIM))
    ours = sum(terms.values())
    torch.testing.assert_close(ours, -bound / (B * J))
    assert_same_gradient(objective, ours, -bound / (B * J))


def test_mopoe_is_the_bound_of_plain_loops() -> None:
    B = 4
    objective = build("mopoe", beta=2.0)
    x = views(B, 1)
    terms = loss(objective, x).loss
    generator = torch.Generator().manual_seed(7)
    chosen = torch.randint(3, (B,), generator=generator)
    assert len(chosen.unique()) > 1
    noise = torch.empty(B, LATENT_DIM, dtype=torch.float64).normal_(generator=generator)
    bound = torch.zeros((), dtype=torch.float64)
    for b in range(B):
        image = objective.posterior(x[b])
        caption = objective.modality_posterior("caption", captions(B)["caption"][b][None])
        both_variance = 1 / (1 + 1 / image.variance[0] + 1 / caption.variance[0])
        both_mean = both_variance * (image.mean[0] / image.variance[0] + caption.mean[0] / caption.variance[0])
        means = [image.mean[0], caption.mean[0], both_mean]
        variances = [image.variance[0], caption.variance[0], both_variance]
        z = means[chosen[b]] + noise[b] * variances[chosen[b]].sqrt()
        bound = bound + log_of_image(objective, z, x[b, 0])
        bound = bound + log_of_modality(objective, objective.modality_model, "caption", z, b)
        standard = Normal(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
        for mean, variance in zip(means, variances, strict=True):
            kl = torch.distributions.kl_divergence(Normal(mean, variance.sqrt()), standard)
            bound = bound - 2.0 * kl.sum() / 3
    ours = sum(terms.values())
    torch.testing.assert_close(ours, -bound / B)
    assert_same_gradient(objective, ours, -bound / B)


def test_probabilities_of_all_texts_add_up_to_one() -> None:
    """Padding is a word like any other."""
    logits_BLV = torch.randn(1, 3, 4, dtype=torch.float64).expand(64, 3, 4)
    tokens_BL = torch.cartesian_prod(*[torch.arange(4)] * 3)
    log_prob_B = losses.Categorical().log_prob(tokens_BL, logits_BLV)
    assert log_prob_B.exp().sum().item() == pytest.approx(1)
    torch.testing.assert_close(losses.Categorical().mean(logits_BLV).sum(2), torch.ones(64, 3, dtype=torch.float64))


def test_simvae_without_modalities_writes_none_down() -> None:
    written = SimVae.Params().model_dump(mode="json")
    assert set(written) == {"J", "sigma2", "psi", "gamma2", "prior", "likelihood", "sigma2_x"}
    assert build("simvae").modalities == ()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"modality_weight": 2.0}, "'modality_weight' weighs modalities"),
        ({"modalities": ("caption", "caption")}, "'modalities' names one twice"),
    ],
)
def test_what_does_not_fit_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimVae.Params(**params)


def test_one_view_and_a_caption_have_a_prior_under_a_uniform_psi() -> None:
    params = SimVae.Params(J=1, psi="uniform", modalities=("caption",))
    assert params.samples == 2
