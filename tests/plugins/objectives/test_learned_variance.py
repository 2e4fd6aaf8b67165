"""`sigma2_x: learned`: the Gaussian likelihood's variance is a weight of the model (Rybkin et al. 2021)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from references import build, loss, views

from simssl.blocks.losses import Gaussian, LearnedGaussian

METHODS = {
    "vae": {},
    "beta_vae": {"beta": 2.5},
    "cr_vae": {},
    "simvae": {"J": 3},
    "mopoe": {"modality": "caption"},
}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", METHODS)
def test_it_begins_as_the_fixed_variance_and_has_the_gradient_of_the_density(name: str) -> None:
    params = METHODS[name]
    learned, fixed = build(name, sigma2_x="learned", **params), build(name, sigma2_x=0.01, **params)
    x = views(4, len(learned.views))
    ours, theirs = loss(learned, x), loss(fixed, x)
    assert ours.monitor["sigma2_x"].item() == pytest.approx(0.01)
    assert not theirs.monitor
    for term, value in theirs.loss.items():
        torch.testing.assert_close(ours.loss[term], value, rtol=1e-6, atol=1e-6)
    sum(ours.loss.values()).backward()
    sum(theirs.loss.values()).backward()
    for key, weight in fixed.named_parameters():
        if weight.grad is None:
            continue
        torch.testing.assert_close(dict(learned.named_parameters())[key].grad, weight.grad, rtol=1e-5, atol=1e-6)
    pixels = x[0, 0].numel()
    squares = (
        2 * 0.01 * (theirs.loss["reconstruction"].item() - pixels / 2 * torch.tensor(0.02 * torch.pi).log().item())
    )
    expected = pixels / 2 - squares / (2 * 0.01)
    assert learned.likelihood.log_sigma2_x.grad.item() == pytest.approx(expected, rel=1e-5)


def test_where_the_loss_is_least_it_is_the_mean_squared_error_of_a_pixel() -> None:
    likelihood = LearnedGaussian()
    x, logits = torch.rand(8, 1, 5, 5), torch.randn(8, 1, 5, 5)
    optimizer = torch.optim.LBFGS(likelihood.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        nll = likelihood.nll(x, logits)
        nll.backward()
        return nll

    optimizer.step(closure)
    error = (logits.sigmoid() - x).square().mean()
    torch.testing.assert_close(likelihood.sigma2_x.detach(), error, rtol=1e-3, atol=0)
    torch.testing.assert_close(likelihood.nll(x, logits), Gaussian(error.item()).nll(x, logits), rtol=1e-5, atol=0)
    torch.testing.assert_close(likelihood.nll(x, logits), -likelihood.log_prob(x, logits).mean())


def test_weights_decay_and_the_variance_does_not() -> None:
    objective = build("vae", sigma2_x="learned")
    groups = objective.parameter_groups()
    given = [weight for group in groups for weight in group["params"]]
    assert {id(weight) for weight in given} == {id(weight) for weight in objective.parameters()}
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.5)
    objective.likelihood.log_sigma2_x.grad = torch.zeros_like(objective.likelihood.log_sigma2_x)
    before = objective.likelihood.log_sigma2_x.item()
    optimizer.step()
    assert objective.likelihood.log_sigma2_x.item() == before


def test_a_run_learns_it_and_measures_by_it(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    training = {"views": 12_000, "batch_views": 40, "optimizer": {"name": "adam", "lr": 3e-2}}
    file = small(
        objective={"name": "vae", "sigma2_x": "learned"},
        training=training,
        evaluators=[{"name": "reconstruction"}],
    )
    assert simssl("run", file).exit_code == 0
    (metrics,) = Path("runs").glob("*/*/metrics.json")
    numbers = json.loads(metrics.read_text())["metrics"]
    nll = numbers["reconstruction/nll"]
    learned = nll["protocol"]["found"]["sigma2_x"]
    assert nll["protocol"]["likelihood"] == "Gaussian(sigma2_x='learned')"
    mse = numbers["reconstruction/mse"]["value"]  # of test images as they are, not of views
    assert 0.7 * mse < learned < 1.4 * mse
    pixels = 64
    expected = pixels / 2 * (math.log(2 * math.pi * learned) + mse / learned)
    assert nll["value"] == pytest.approx(expected, rel=1e-3)
    result = simssl("evaluate", metrics.parent, "-e", "{name: reconstruction, pictures: 3}")  # from the checkpoint
    assert result.exit_code == 0, result.stderr
    again = json.loads(metrics.read_text())["metrics"]["reconstruction/nll"]
    assert again["value"] == nll["value"]
    assert again["protocol"]["found"] == {"sigma2_x": learned}


@pytest.mark.parametrize(
    ("value", "message"), [("lerned", "a number or 'learned', not 'lerned'"), (0, "greater than 0")]
)
def test_anything_else_is_refused_with_its_place(
    value: object, message: str, simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    result = simssl("check", small(objective={"name": "vae", "sigma2_x": value}))
    assert result.exit_code == 2
    assert f"'sigma2_x' must be {message}" in result.stderr
    assert re.search(r"small\.yaml:\d+:\d+: ", result.stderr)
