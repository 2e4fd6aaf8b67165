"""The page's curves of what was measured while methods trained, from history.jsonl alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from fake_runs import metric
from reports import KNN, STYLE, Command, Write

from simssl.report.page.svg import SIZE
from simssl.store.folder import RunFolder
from simssl.store.history import Moment, add_moment

FACTS = {"family": "discriminative", "roles": {"class": "content", "crop_x": "style"}}


@pytest.fixture
def page(simssl: Command, tmp_path: Path) -> Callable[[], str]:
    def make() -> str:
        result = simssl("report", "runs", "--html", "page.html")
        assert result.exit_code == 0, result.stderr
        return (tmp_path / "page.html").read_text()

    return make


def curves_in(source: str) -> list[str]:
    """The corners of all curves of a page."""
    return re.findall('<path d="M([^"]*)" class="curve', source)


def measured(run: Path, *numbers: tuple[int, float, float]) -> None:
    """Views, content and style."""
    for views, content, style in numbers:
        style_metric = metric(style, role="style")
        entries = {KNN: metric(content), STYLE: style_metric, "style_probe/crop_x/R2": style_metric}
        add_moment(RunFolder(run), Moment(views // 10, views, entries))


def test_a_line_a_method_with_standard_errors_over_seeds(page: Callable[[], str], run: Write) -> None:
    for name, sign in (("simclr", -1), ("simvae", 1)):
        for seed in (0, 1, 2):
            final = {KNN: metric(0.9), STYLE: metric(0.5 + 0.3 * sign, role="style")}
            folder = run(f"{name}{seed}", final, facts=FACTS, objective={"name": name}, seed=seed)
            noise = 0.01 * seed
            measured(folder, (0, 0.5, 0.5), (500, 0.7 + noise, 0.5 + sign * 0.2 + noise), (1000, 0.9, 0.5 + 0.3 * sign))
    source = page()
    assert ">While it trained<" in source
    labels = re.findall('aria-label="([^"]*)"', source)
    over_time = [label for label in labels if "over the views that were shown" in label]
    assert over_time == [
        "knn/class/accuracy over the views that were shown, at the end: simclr: 0.900±0.000; simvae: 0.900±0.000",
        "style_probe/R2 over the views that were shown, at the end: simclr: 0.200±0.000; simvae: 0.800±0.000",
        "style_probe/crop_x/R2 over the views that were shown, at the end: simclr: 0.200±0.000; simvae: 0.800±0.000",
    ]
    captions = [source.index(text) for text in ("Content, by knn/", "Style, by style_probe/R2", "Of each")]
    assert captions == sorted(captions)
    assert [curve.count("L") for curve in curves_in(source)] == [2] * 6
    plot = source.split('aria-label="style_probe/R2 over')[1].split("</svg>")[0]
    assert plot.count('class="error') == 6


def test_early_measurements_are_spread_by_a_logarithmic_axis(page: Callable[[], str], run: Write) -> None:
    folder = run("a", {KNN: metric(0.9)}, facts=FACTS)
    measured(folder, *((views, 0.5, 0.5) for views in (0, 10, 30, 100, 300, 1000, 3000, 10_000)))
    curve = curves_in(page())[0]
    positions = [float(corner.split()[0]) for corner in curve.split(" L")]
    steps = [after - before for before, after in pairwise(positions[1:])]
    assert min(steps) > 0.8 * max(steps)
    assert positions[0] < positions[1]


def test_a_damaged_history_is_left_out_and_said(
    page: Callable[[], str], run: Write, caplog: pytest.LogCaptureFixture
) -> None:
    for seed in (0, 1):
        measured(run(f"a{seed}", {KNN: metric(0.9)}, facts=FACTS, seed=seed), (0, 0.5, 0.5), (1000, 0.8 + seed, 0.1))
    with (Path("runs") / "a1" / "history.jsonl").open("a") as file:
        file.write("{\n")
    assert "at the end: simvae: 0.800" in page()
    assert "left out: runs/a1/history.jsonl is damaged in line 3" in caplog.text


def test_without_histories_there_is_no_such_part(page: Callable[[], str], run: Write) -> None:
    run("a", {KNN: metric(0.9)})
    assert "While it trained" not in page()


def test_a_selection_by_an_evaluator_of_another_name_is_told_by_that_name(page: Callable[[], str], run: Write) -> None:
    evaluator = {"name": "knn", "as": "knn:mnist", "dataset": {"name": "mnist"}}
    selection = {"every": 100, "evaluator": evaluator, "metric": "class/accuracy", "patience": None, "keep": "best"}
    run("a", {KNN: metric(0.9)}, facts=FACTS, selection=selection)
    assert "knn:mnist/class/accuracy on held-out images: keeps the best weights" in page()


def test_no_curve_runs_through_a_name(page: Callable[[], str], run: Write) -> None:
    """The names stand on the right of all curves, and apart from one another, though two curves end at one height."""
    for name, accuracy in (("simclr", 0.5), ("byol", 0.5), ("simvae", 0.8)):
        folder = run(name, {KNN: metric(0.9)}, facts=FACTS, objective={"name": name})
        measured(folder, *((views, accuracy, 0.5) for views in (0, 500, 1000)))
    plot = page().split('aria-label="knn/class/accuracy over')[1].split("</svg>")[0]
    names = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="start" class="name', plot)
    assert len(names) == 3
    ends = [float(curve.split("L")[-1].split()[0]) for curve in curves_in(plot)]
    assert min(float(left) for left, _ in names) > max(ends)
    heights = sorted(float(baseline) for _, baseline in names)
    assert all(lower - upper >= SIZE for upper, lower in itertools.pairwise(heights))


def test_what_a_run_selected_by_is_told_and_tells_rows_apart(page: Callable[[], str], run: Write) -> None:
    selection = {"every": 100, "evaluator": {"name": "knn"}, "metric": "class/accuracy", "patience": 5, "keep": "best"}
    run("a", {KNN: metric(0.9)}, facts=FACTS)
    run("b", {KNN: metric(0.8)}, facts=FACTS, selection=selection)
    source = page()
    told = "on held-out images: ends after 5 measurements without a better one, keeps the best weights"
    assert (
        f"none; or knn/class/accuracy {told}, by method" in source or f"accuracy {told}; or none, by method" in source
    )
