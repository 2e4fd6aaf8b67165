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


def work(views: int, batch_views: int, **settings: Any) -> dict[str, Any]:
    return {"views": views, "batch_views": batch_views, **settings}


def test_equal_images_are_a_jth_of_the_views_and_of_a_steps_views() -> None:
    """So that both take as many steps, of as many images."""
    baselines = [vae(training=work(views, batch)) for views in (240, 960) for batch in (24, 96)]
    ours = simvae(J=4, training=work(960, 96))
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="images")] == [baselines[0]]
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="views")] == [baselines[3]]
    ours = simvae(J=1, training=work(960, 24))
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="images")] == [baselines[2]]


@pytest.mark.parametrize("training", [work(960, 24), work(240, 96), work(480, 96), work(960, 96, log_every=10)])
def test_other_images_or_other_steps_are_no_pair(training: dict[str, Any]) -> None:
    baseline = vae(training=work(240, 24))
    assert pairs_of([simvae(J=4, training=training)], [baseline], equal="images") == []


def test_a_step_takes_whole_images() -> None:
    """Of 100 views in a step, seven of each image, a run takes 98."""
    baselines = [vae(training=work(1000, batch)) for batch in (14, 15)]
    (pair,) = pairs_of([simvae(J=7, training=work(7000, 100))], baselines, equal="images")
    assert pair.theirs is baselines[0]


def test_a_method_without_j_takes_the_views_that_its_plugin_says() -> None:
    """The CR-VAE takes an image and an augmentation of it: two views."""
    baselines = [
        of({"name": "cr_vae", "sigma2_x": 0.01, "lambda_": 0.001}, training=work(views, batch))
        for views, batch in ((100, 10), (200, 20))
    ]
    ours = simvae(J=4, training=work(400, 40))
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="images")] == baselines[1:]


def test_equal_epochs_are_equal_images() -> None:
    baselines = [vae(training={"epochs": epochs, "batch_views": 60}) for epochs in (3, 30)]
    ours = simvae(training={"epochs": 3, "batch_views": 60})
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="views")] == baselines[1:]
    ours = simvae(training={"epochs": 3, "batch_views": 600})
    assert [pair.theirs for pair in pairs_of([ours], baselines, equal="images")] == baselines[:1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"training": {"views": 1000}}, "r has no whole number above 0 as training.batch_views"),
        ({"training": {"batch_views": 10}}, "r has no whole number above 0 as training.views"),
        ({"training": work(100, 10), "objective": {"name": "simvae", "J": 0}}, "r has .* above 0 as objective.J"),
        ({"training": work(100, 10), "objective": {"name": "pca"}}, "r is not trained, so that no images were shown"),
        ({"training": work(100, 10), "objective": {"name": "odd"}}, "no objective is called 'odd'"),
        ({"training": work(100, 10), "objective": {"name": "vae", "x": 1}}, "r has settings that are not those of vae"),
    ],
)
def test_what_no_run_has_is_said(settings: dict[str, Any], message: str) -> None:
    odd = Run({**SETTINGS, "evaluators": [], **settings}, {}, told={"run": "r"})
    with pytest.raises(UserError, match=f"^{message}"):
        pairs_of([odd], [vae(training=work(100, 10))], equal="images")


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
