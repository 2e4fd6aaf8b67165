"""Pairs of runs of SimVAE and of the VAE: which are compared, and which are not."""

from __future__ import annotations

from typing import Any

import pytest
from fake_runs import SETTINGS, metric
from reports import KNN

from simssl.errors import UserError
from simssl.report.figure.paired import pairs_of
from simssl.report.runs import Run

OWN = {"J": 10, "sigma2": 0.15, "psi": "gaussian", "gamma2": None, "prior": "sampled"}


def of(objective: dict[str, Any], value: float = 0.5, **settings: Any) -> Run:
    own = {**SETTINGS, "evaluators": [{"name": "knn"}], "objective": objective, **settings}
    return Run(own, {KNN: metric(value)}, told={"run": f"{objective['name']}-{value}"})


def simvae(value: float = 0.5, J: int = 10, sigma2_x: Any = 0.01, **settings: Any) -> Run:
    return of({"name": "simvae", "sigma2_x": sigma2_x, **OWN, "J": J}, value, **settings)


def vae(value: float = 0.5, sigma2_x: Any = 0.01, **settings: Any) -> Run:
    return of({"name": "vae", "sigma2_x": sigma2_x}, value, **settings)


def test_they_agree_in_all_but_what_simvae_alone_has() -> None:
    baselines = [vae(sigma2_x=x, seed=seed) for x in (0.01, 0.1, "learned") for seed in (0, 1)]
    for ours in [simvae(J=J, sigma2_x=x, seed=seed) for J in (2, 10) for x in (0.1, "learned") for seed in (1, 0)]:
        (pair,) = pairs_of([ours], baselines)
        assert pair.theirs.settings["objective"]["sigma2_x"] == ours.settings["objective"]["sigma2_x"]
        assert pair.theirs.settings["seed"] == ours.settings["seed"] == pair.seed


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 3},
        {"latent_dim": 16},
        {"dataset": {"name": "fashion_mnist"}},
        {"views": {"crop": {"scale": [0.4, 1.0]}}},
        {"backbone": {"name": "mlp", "hidden": [64]}},
        {"training": {"views": 2000}},
        {"training": {"views": 1000, "optimizer": {"lr": 0.01}}},
        {"training": {"epochs": 1000}},
        {"positives": {"share": ["class"]}},
        {"sigma2_x": 0.02},
        {"sigma2_x": None},
    ],
)
def test_runs_that_differ_in_another_setting_are_no_pair(other: dict[str, Any]) -> None:
    assert len(pairs_of([simvae()], [vae()])) == 1
    assert pairs_of([simvae()], [vae(**other)]) == []
    assert pairs_of([simvae(**other)], [vae()]) == []


def test_the_name_of_the_experiment_does_not_count() -> None:
    assert len(pairs_of([simvae(name="a")], [vae(name="b")])) == 1


def test_equal_images_are_a_jth_of_the_views() -> None:
    baselines = [vae(training={"views": views}) for views in (100, 500, 1000)]
    for J, views in ((10, 100), (2, 500), (1, 1000)):
        (pair,) = pairs_of([simvae(J=J)], baselines, equal="images")
        assert pair.theirs.settings["training"] == {"views": views}
    assert pairs_of([simvae(J=4)], baselines, equal="images") == []


def test_equal_epochs_are_equal_images() -> None:
    baselines = [vae(training={"epochs": epochs}) for epochs in (3, 30)]
    ours = simvae(training={"epochs": 3})
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="images")] == baselines[:1]
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="views")] == baselines[1:]


def test_what_the_other_method_alone_has_is_its_own() -> None:
    ours, theirs = simvae(), of({"name": "beta_vae", "sigma2_x": 0.01, "beta": 4.0})
    assert len(pairs_of([ours], [theirs])) == 1
    other = of({"name": "beta_vae", "sigma2_x": 0.01, "beta": 8.0}, 0.6)
    with pytest.raises(UserError, match=r"^beta_vae-0.5 and beta_vae-0.6 stand for .* differ in objective.beta$"):
        pairs_of([ours], [theirs, other])


def test_a_baseline_may_have_copies_and_no_rivals() -> None:
    first, again = vae(name="a"), vae(name="b")
    assert [pair.theirs for pair in pairs_of([simvae()], [first, again])] == [first]
    with pytest.raises(UserError, match=f"^vae-0.5 and vae-0.7 stand for one baseline and differ in {KNN}$"):
        pairs_of([simvae()], [first, vae(0.7, name="b")])
