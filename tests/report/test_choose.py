"""One of several settings is chosen by its numbers on held-out images, and its number on test is shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import metric
from reports import KNN, Command, Lines, Write, markdown_rows


def measured(test: float, held_out: float | None, **protocol: Any) -> dict[str, Any]:
    entry = metric(test, **protocol)
    return entry if held_out is None else {**entry, "held_out": held_out}


@pytest.fixture
def grid(run: Write) -> None:
    """SimCLR at three temperatures, of two seeds: what is best on test is not best on held-out images. And a rival."""
    of_temperature = {0.1: (0.80, 0.91), 0.2: (0.95, 0.70), 0.5: (0.60, 0.50)}
    for temperature, (test, held_out) in of_temperature.items():
        for seed in (0, 1):
            run(
                f"simclr{temperature}-{seed}",
                {KNN: measured(test + seed / 100, held_out + seed / 100)},
                objective={"name": "simclr", "temperature": temperature},
                seed=seed,
            )
    for seed in (0, 1):
        run(f"vicreg-{seed}", {KNN: measured(0.7, 0.1)}, objective={"name": "vicreg"}, seed=seed)


@pytest.mark.usefixtures("grid")
def test_the_best_on_held_out_images_is_shown_with_its_number_on_test(simssl: Command) -> None:
    result = simssl("report", "runs", "--choose", KNN, "--format", "md")
    assert result.exit_code == 0, result.stderr
    rows = markdown_rows(result)
    assert rows == {"simclr temperature=0.1": ["**0.805±0.005**"], "vicreg": ["0.700±0.000"]}
    sentence = "simclr temperature=0.1: chosen of 3 settings of simclr by knn/class/accuracy on held-out images"
    assert f"{sentence}, where it has 0.915±0.005" in result.stdout
    assert "of several settings of a method the one that is best by knn/class/accuracy" in result.stdout
    assert "no best is marked" not in result.stdout


@pytest.mark.usefixtures("grid")
def test_without_it_nothing_is_chosen_and_the_records_are_as_they_were(simssl: Command, lines: Lines) -> None:
    text = simssl("report", "runs").stdout
    assert "no best is marked among several settings of one method (simclr): it would be chosen on test" in text
    assert len(markdown_rows(simssl("report", "runs", "--format", "md"))) == 4
    assert {"held_out", "tried"}.isdisjoint(lines()[0])


@pytest.mark.usefixtures("grid")
def test_every_format_and_the_page_say_among_how_many(simssl: Command, lines: Lines) -> None:
    chosen, rival = lines("runs", "--choose", KNN)
    assert (chosen["tried"], rival["tried"]) == ("3", "1")
    assert float(chosen["held_out"]) == pytest.approx(0.915)
    assert float(chosen["mean"]) == pytest.approx(0.805)
    assert (chosen["best"], rival["best"]) == ("True", "False")
    result = simssl("report", "runs", "--choose", KNN, "--format", "json", "--html", "page.html")
    first, *_ = json.loads(result.stdout)["metrics"]
    assert (first["method"], first["tried"]) == ("simclr temperature=0.1", 3)
    page = Path("page.html").read_text()
    assert "1 of 3 settings" in page
    assert "chosen of 3 settings of simclr" in page
    assert "temperature=0.2" not in page


def test_where_lower_is_better_the_lowest_is_chosen(simssl: Command, run: Write) -> None:
    key = "decoder/mse"
    for sigma2, held_out in ((0.1, 3.0), (0.2, 1.0), (0.3, 2.0)):
        entry = {**measured(held_out, held_out), "better": "lower", "unit": "squared error"}
        run(f"s{sigma2}", {key: entry}, objective={"name": "simvae", "sigma2": sigma2})
    assert list(markdown_rows(simssl("report", "runs", "--choose", key, "--format", "md"))) == ["simvae sigma2=0.2"]


def test_settings_are_compared_at_equal_circumstances_alone(run: Write, lines: Lines) -> None:
    """The best at each budget is chosen, and in each experiment. Learning rates are settings of a method."""
    for views in (1000, 2000):
        for lr, held_out in ((0.1, 0.3), (0.2, 0.4)):
            training = {"views": views, "lr": lr}
            run(f"{views}-{lr}", {KNN: measured(0.5, held_out * views)}, training=training)
    run("other", {KNN: measured(0.9, 0.01)}, name="other")
    labels = [line["method"] for line in lines("runs", "--choose", KNN)]
    assert sorted(labels) == ["simvae", "simvae lr=0.2 views=1000", "simvae lr=0.2 views=2000"]


def test_settings_without_the_number_are_counted_and_a_method_without_any_stays(simssl: Command, run: Write) -> None:
    for J, metrics in ((2, {KNN: measured(0.5, 0.4)}), (4, {KNN: measured(0.4, 0.6)}), (8, None)):
        run(f"simvae{J}", metrics, objective={"name": "simvae", "J": J})
    for beta in (1, 2):
        run(f"vae{beta}", {"style_probe/R2": metric(0.1)}, objective={"name": "beta_vae", "beta": beta})
    result = simssl("report", "runs", "--choose", KNN, "--format", "md")
    assert set(markdown_rows(result)) == {"simvae J=4", "beta_vae beta=1", "beta_vae beta=2"}
    assert "chosen of 3 settings of simvae" in result.stdout
    assert "; 1 of the 3 runs has none yet" in result.stdout
    assert "beta_vae: none of its 2 settings has knn/class/accuracy yet, and none is chosen" in result.stdout


def test_seeds_that_are_not_measured_yet_are_counted(simssl: Command, run: Write) -> None:
    """The mean of one seed alone may be the best by luck."""
    for J, held_out in ((2, 0.4), (4, 0.6)):
        for seed in (0, 1):
            unfinished = J == 4 and seed == 1
            metrics = None if unfinished else {KNN: measured(0.5, held_out)}
            run(f"simvae{J}-{seed}", metrics, objective={"name": "simvae", "J": J}, seed=seed)
    result = simssl("report", "runs", "--choose", KNN)
    assert "simvae J=4: chosen of 2 settings" in result.stdout
    assert "where it has 0.600; 1 of the 4 runs has none yet" in result.stdout


def test_nothing_to_choose_is_said(simssl: Command, run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    assert "nothing was to be chosen" in simssl("report", "runs", "--choose", KNN).stdout


@pytest.mark.parametrize(
    ("entries", "metric_", "sentence"),
    [
        ((measured(0.5, 0.4), measured(0.6, None)), KNN, "has no knn/class/accuracy on held-out images to choose by"),
        ((measured(0.5, 0.4), measured(0.6, 0.5, k=5)), KNN, "by several protocols"),
        ((measured(0.5, 0.4), measured(0.6, 0.5)), "knn/clas/accuracy", "did you mean 'knn/class/accuracy'?"),
        (2 * ({**measured(0.5, 0.4), "better": None},), KNN, "neither direction is better"),
        ((metric(0.5), metric(0.6)), "R2", "and these runs have none"),
    ],
)
def test_what_cannot_be_chosen_by_is_one_sentence(
    simssl: Command, run: Write, entries: tuple[dict[str, Any], ...], metric_: str, sentence: str
) -> None:
    for J, entry in enumerate(entries, 2):
        run(f"simvae{J}", {KNN: entry}, objective={"name": "simvae", "J": J})
    result = simssl("report", "runs", "--choose", metric_)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_damaged_held_out_number_is_no_entry(simssl: Command, run: Write) -> None:
    run("a", {KNN: {**metric(0.5), "held_out": "much"}})
    assert "is damaged" in simssl("report", "runs").stderr


def test_a_grid_that_was_trained_is_chosen_from(simssl: Command, small: Callable[..., Path]) -> None:
    file = small(grid={"objective.sigma2": [0.05, 0.15, 0.5]})
    assert simssl("run", file).exit_code == 0
    result = simssl("report", file, "--choose", KNN, "--format", "json")
    assert result.exit_code == 0, result.stderr
    (chosen,) = json.loads(result.stdout)["metrics"]
    entries = [json.loads(path.read_text())["metrics"][KNN] for path in Path("runs").rglob("metrics.json")]
    best = max(entries, key=lambda entry: entry["held_out"])
    assert (chosen["mean"], chosen["held_out"], chosen["tried"]) == (best["value"], best["held_out"], 3)
