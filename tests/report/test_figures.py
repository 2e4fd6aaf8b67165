"""Figures of the documentation, from archives: what they show, to the number, and that they can be read."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_runs import metric
from reports import KNN, STYLE, Command, Write

from simssl.errors import UserError
from simssl.report.figure import BudgetFigure, BudgetPanel, DifferenceFigure, DifferencePanel, Line, draw
from simssl.report.figure.sheet import GAP, WIDTH

OVER = (0.01, 0.1, 1.0)
VIEWS = (0, 100, 1000, 10_000)
WORK = {"views": 10_000, "batch_views": 100}
SVG = "{http://www.w3.org/2000/svg}"


def final(content: float, style: float) -> dict[str, Any]:
    return {KNN: metric(content), STYLE: {**metric(style, role="style"), "unit": "R2"}}


def measured(path: Path, noise: float, last: dict[str, Any]) -> None:
    """Content that rises to what is measured last, and style that falls to it."""
    lines = []
    for number, views in enumerate(VIEWS):
        rest = 3 - number
        entries = {}
        for key, sign in ((KNN, -0.1), (STYLE, 0.1)):
            entries[key] = {**last[key], "value": last[key]["value"] + rest * (sign + noise)}
        lines.append(json.dumps({"step": views // 10, "views": views, "metrics": entries}))
    (path / "history.jsonl").write_text("\n".join([*lines, ""]))


@pytest.fixture
def archive(run: Write, simssl: Command, tmp_path: Path) -> Path:
    """The VAE and SimVAE with two J at three sigma2_x, and SimVAE with a learned one; three seeds; and SimCLR.

    SimVAE minus VAE is J / 100 at .01, twice that at .1 and three times that at 1, plus .001 times the seed less one.
    """
    for seed in (0, 1, 2):
        for number, sigma2_x in enumerate([*OVER, "learned"], 1):
            base = 0.5 + 0.03 * seed
            written = {f"vae{number}-{seed}": ({"name": "vae", "sigma2_x": sigma2_x}, base)}
            for J in (2, 10):
                better = 0.01 * J * number + 0.001 * (seed - 1)
                own = {"name": "simvae", "sigma2_x": sigma2_x, "J": J, "sigma2": 0.15}
                written[f"simvae{number}-{J}-{seed}"] = own, base + better
            for name, (objective, content) in written.items():
                last = final(content, content - 0.2)
                measured(run(name, last, objective=objective, seed=seed, training=WORK), 0.01 * seed, last)
        last = final(0.9, 0.1)
        objective = {"name": "simclr", "temperature": 0.5}
        measured(run(f"simclr-{seed}", last, objective=objective, seed=seed, training=WORK), 0.01, last)
    result = simssl("report", "runs", "--archive", "a.csv")
    assert result.exit_code == 0, result.stderr
    return tmp_path


BUDGET = BudgetFigure(
    name="budget",
    title="Content and style against views",
    archives=["a.csv"],
    panels=[
        BudgetPanel("content", KNN, {"objective.sigma2_x": 0.1}, published=["vae", "simvae"]),
        BudgetPanel("style", STYLE, {"objective.sigma2_x": 0.1}),
    ],
    against="bizeul2024",
    note="no data, D 10",
    names={"vae": "VAE", "simvae J=2": "SimVAE, J 2"},
)
OVER_SIGMA2_X = DifferenceFigure(
    name="sigma2-x",
    title="SimVAE minus VAE",
    archives=["a.csv"],
    panels=[DifferencePanel("content", KNN), DifferencePanel("style", STYLE)],
    ours="simvae",
    theirs="vae",
    over="objective.sigma2_x",
    lines=[Line("J 2", {"objective.J": 2}), Line("J 10", {"objective.J": 10})],
)
BOTH = pytest.mark.parametrize("figure", [BUDGET, OVER_SIGMA2_X], ids=lambda figure: figure.name)


def panels_of(source: str) -> list[ElementTree.Element]:
    return ElementTree.fromstring(source).findall(f"{SVG}g")


def texts_in(element: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in element.iter(f"{SVG}text")]


def drawn_as(element: ElementTree.Element, class_: str) -> list[ElementTree.Element]:
    return [inner for inner in element.iter() if class_ in inner.get("class", "").split()]


@BOTH
def test_a_figure_is_the_same_each_time_and_needs_nothing_else(figure: Any, archive: Path) -> None:
    source = draw(figure, archive)
    assert source == draw(figure, archive)
    root = ElementTree.fromstring(source)
    assert "var(" not in source
    assert "nan" not in source
    assert not re.search(r"url\(|href|@import|script", source)
    paper = root.find(f"{SVG}rect")
    assert paper is not None
    assert (paper.get("fill"), paper.get("width"), paper.get("height")) == (
        "#ffffff",
        root.get("width"),
        root.get("height"),
    )
    assert texts_in(root)[0] == root.findtext(f"{SVG}title") == figure.title


@BOTH
def test_what_stands_on_the_right_has_room(figure: Any, archive: Path) -> None:
    for panel in panels_of(draw(figure, archive)):
        start = float(re.findall(r"translate\((\d+)", panel.get("transform", ""))[0])
        for name in drawn_as(panel, "name") + drawn_as(panel, "told"):
            bold = 0.72 * 12.5 * len(name.text or "")  # of DejaVu, a broad one
            assert start + float(name.get("x", "")) + bold < WIDTH


def test_budget_curves_are_means_with_standard_errors_on_a_logarithmic_axis(archive: Path) -> None:
    source = draw(BUDGET, archive)
    root = ElementTree.fromstring(source)
    assert "no data, D 10; mean and standard error over 3 seeds" in texts_in(root)[1]
    content, style = panels_of(source)
    assert "content: knn/class/accuracy (0 to 1)" in texts_in(content)
    assert "style: style_probe/R2" in texts_in(style)
    assert [name.text for name in drawn_as(style, "name")] == ["SimVAE, J 2", "simvae J=10", "VAE"]
    assert len(drawn_as(style, "curve")) == 3
    assert len(drawn_as(style, "error")) == 3 * len(VIEWS)
    described = root.findtext(f"{SVG}desc") or ""
    assert "at the end: SimVAE, J 2: 0.570±0.018; simvae J=10: 0.730±0.018; VAE: 0.530±0.017" in described
    corners = re.findall(r"([\d.]+) ([\d.]+)", drawn_as(style, "curve")[0].get("d", ""))
    at = [float(x) for x, _ in corners]
    assert {"0", "100", "1k", "10k"} <= set(texts_in(style))
    assert at[3] - at[2] == pytest.approx(at[2] - at[1], abs=0.1)
    heights = [float(y) for _, y in corners]
    assert heights == sorted(heights)  # style falls


def test_the_beginning_may_be_left_out(archive: Path) -> None:
    panel = BudgetPanel("content", KNN, {"objective.name": "simclr"}, from_views=100)
    (content,) = panels_of(draw(replace(BUDGET, panels=[panel], names={}), archive))
    (curve,) = drawn_as(content, "curve")
    assert (curve.get("d") or "").count("L") == 2
    assert {"100", "1k", "10k"} <= set(texts_in(content))
    assert "0" not in texts_in(content)


def test_published_values_are_broken_lines_in_the_colours_of_their_methods(archive: Path) -> None:
    source = draw(BUDGET, archive)
    content, style = panels_of(source)
    assert "broken lines: published in bizeul2024, Table 1, selected on test" in source
    assert [told.text for told in drawn_as(content, "told")] == ["VAE 0.980", "simvae 0.985"]
    assert not drawn_as(style, "level")
    colour_of = {name.text: name.get("class", "")[-2:] for name in drawn_as(content, "name")}
    assert [level.get("class", "")[-2:] for level in drawn_as(content, "level")] == [
        colour_of["VAE"],
        colour_of["SimVAE, J 2"],
    ]
    axis = sorted(float(tick.get("y1", "")) for tick in drawn_as(content, "level"))
    assert axis[0] < axis[1]


def test_differences_are_paired_by_seed(archive: Path) -> None:
    """Their standard error is that of the differences, .001 / sqrt(3), though seeds differ by .03."""
    source = draw(OVER_SIGMA2_X, archive)
    root = ElementTree.fromstring(source)
    assert texts_in(root)[1] == "simvae minus vae, seed by seed: mean and standard error over 3 seeds"
    described = root.findtext(f"{SVG}desc") or ""
    told = (
        "content: knn/class/accuracy (fraction) over sigma2_x: "
        "J 2: 0.01 +0.020±0.001, 0.1 +0.040±0.001, 1.0 +0.060±0.001, learned +0.080±0.001; "
        "J 10: 0.01 +0.100±0.001, 0.1 +0.200±0.001, 1.0 +0.300±0.001, learned +0.400±0.001"
    )
    assert told in described
    content, _ = panels_of(source)
    marks = [float(mark.get("cx", "")) for mark in drawn_as(content, "mark") if mark.get("cx")]
    assert marks == sorted(marks)
    assert marks[1] - marks[0] == pytest.approx(marks[2] - marks[1], abs=0.1)  # tenfold each
    (first, second) = drawn_as(content, "curve")
    assert (first.get("d") or "").count("L") == (second.get("d") or "").count("L") == 2  # a category is not joined
    assert {"0.01", "0.1", "1", "learned"} <= set(texts_in(content))


def test_the_other_method_is_the_same_for_all_seeds_of_a_point(archive: Path, run: Write, simssl: Command) -> None:
    """A beta of its own for each seed would be no standard error over seeds."""
    for seed in (0, 1):
        objective = {"name": "beta_vae", "sigma2_x": 0.1, "beta": 2.0 + seed}
        run(f"b{seed}", final(0.5, 0.1), objective=objective, seed=seed, training=WORK)
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    figure = replace(OVER_SIGMA2_X, theirs="beta_vae", lines=[Line("J 2", {"objective.J": 2})])
    with pytest.raises(UserError, match=r"runs at objective.sigma2_x 0.1 differ in objective.beta, too"):
        draw(figure, archive)


def test_a_setting_that_is_left_empty_has_the_value_that_is_told(archive: Path, run: Write, simssl: Command) -> None:
    for name, objective in (("v", {"name": "vae"}), ("s", {"name": "simvae", "J": 2, "sigma2": 0.15})):
        run(name, final(0.7, 0.1), objective={**objective, "sigma2_x": None}, seed=7)
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    figure = replace(OVER_SIGMA2_X, lines=[Line("J 2", {"objective.J": 2, "seed": 7})])
    assert "0.01 +0.000" in draw(replace(figure, empty=0.01), archive)
    assert ">one seed<" not in draw(replace(figure, empty=0.01), archive)
    assert "seed by seed: one seed<" in draw(replace(figure, empty=0.01), archive)
    with pytest.raises(UserError, match=r"s leaves 'objective.sigma2_x' empty; say what that means with 'empty'"):
        draw(figure, archive)


def test_categories_alone_have_places_of_their_own(archive: Path) -> None:
    figure = replace(
        OVER_SIGMA2_X, over="dataset.name", lines=[Line("", {"objective.J": 2, "objective.sigma2_x": 0.1})]
    )
    content, _ = panels_of(draw(figure, archive))
    assert "mnist" in texts_in(content)
    assert not drawn_as(content, "curve")
    assert len(drawn_as(content, "mark")) == 1


def test_categories_that_look_alike_are_refused(archive: Path, run: Write, simssl: Command) -> None:
    for number in range(10):
        backbone = {"name": f"{number // 2}-a-very-long-name-{number}-of-a-network"}
        for objective in ({"name": "vae"}, {"name": "simvae", "J": 2}):
            own = {"objective": objective, "backbone": backbone, "name": "networks", "training": WORK}
            run(f"{objective['name']}-of-{number}", final(0.5, 0.1), **own)
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    panels = [DifferencePanel("content", KNN, {"name": "networks"})]
    figure = replace(OVER_SIGMA2_X, panels=panels, over="backbone.name", lines=[Line("")])
    with pytest.raises(UserError, match=r"there is no room to tell 0-a-.*, .* apart; make 'columns' fewer"):
        draw(figure, archive)


KEYED = {"objective.sigma2_x": 0.1}


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (replace(BUDGET, panels=[BudgetPanel("c", "knn/x")], names={}), "no run has measured knn/x"),
        (replace(BUDGET, panels=[BudgetPanel("c", KNN, {"objective.j": 2})]), "no run has a setting 'objective.j'"),
        (replace(BUDGET, panels=[BudgetPanel("c", KNN, {"objective.J": 3})]), "no run has objective.J 3"),
        (replace(BUDGET, names={"VAE": "vae"}), "no row is called 'VAE'"),
        (replace(BUDGET, names={"vae": "x" * 30}), "the name 'x+' is too long for a panel"),
        (replace(BUDGET, names={"simvae J=2": "vae"}), "two rows have one name"),
        (
            replace(BUDGET, panels=[BudgetPanel("c" * 40, KNN)], names={}),
            "the title 'c+: knn/class/accuracy .*' is too",
        ),
        (
            replace(OVER_SIGMA2_X, panels=[DifferencePanel("c" * 40, KNN)]),
            "the title 'c+: knn/class/accuracy .*' is too",
        ),
        (
            replace(OVER_SIGMA2_X, lines=[Line(f"J 2 {n}", {"objective.J": 2}) for n in range(16)]),
            "a panel has room for 15 names, not for 16",
        ),
        (replace(BUDGET, panels=[BudgetPanel("c", KNN, KEYED, ["moco"])]), "bizeul2024 has no .* of moco"),
        (replace(BUDGET, panels=[BudgetPanel("c", STYLE, KEYED, ["vae"])]), "bizeul2024 has no style_probe/R2 beside"),
        (replace(BUDGET, against=""), "'' is neither a file nor a published table"),
        (replace(OVER_SIGMA2_X, lines=[Line("all")]), "runs at objective.sigma2_x .* differ in objective.J, too"),
        (replace(OVER_SIGMA2_X, theirs="beta_vae"), "no run of beta_vae has measured knn/class/accuracy"),
        (replace(OVER_SIGMA2_X, over="objective.beta"), "has no setting 'objective.beta'"),
        (
            replace(OVER_SIGMA2_X, lines=[Line("J 2", {"objective.J": 2}, "images")]),
            r"have all other settings, the seed and the number of images in common \(content, J 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(figure: Any, message: str, archive: Path) -> None:
    with pytest.raises(UserError, match=message) as told:
        draw(figure, archive)
    assert str(told.value).startswith(f"figure {figure.name}: ")
    assert "\n" not in str(told.value)


def test_numbers_of_several_protocols_are_not_mixed(archive: Path, run: Write, simssl: Command) -> None:
    run("other", {KNN: metric(0.5, k=3)}, objective={"name": "vae", "sigma2_x": 0.1}, seed=9)
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    with pytest.raises(UserError, match=f"2 protocols made {KNN}"):
        draw(OVER_SIGMA2_X, archive)


def test_rows_of_two_experiments_are_told_apart(archive: Path, run: Write, simssl: Command) -> None:
    last = final(0.7, 0.1)
    measured(run("long", last, name="long", objective={"name": "vae", "sigma2_x": 0.1}), 0.01, last)
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    panel = BudgetPanel("content", KNN, {"objective.name": "vae", "objective.sigma2_x": 0.1})
    (content,) = panels_of(draw(replace(BUDGET, panels=[panel], names={}), archive))
    assert {name.text for name in drawn_as(content, "name")} == {"vae, e", "vae, long"}


def test_none_stands_for_what_a_method_has_no_setting_of(archive: Path) -> None:
    panel = BudgetPanel("content", KNN, {"objective.sigma2_x": (0.1, None), "objective.J": (2, None)})
    (content,) = panels_of(draw(replace(BUDGET, panels=[panel], names={}), archive))
    assert {name.text for name in drawn_as(content, "name")} == {"simclr", "vae", "simvae"}


def test_a_name_is_text(archive: Path) -> None:
    odd = "<b>&\x1b"
    root = ElementTree.fromstring(draw(replace(BUDGET, title=odd, names={"vae": odd}), archive))
    assert (root.findtext(f"{SVG}title") or "").startswith("<b>&")


def test_a_long_title_goes_on_in_the_next_line(archive: Path) -> None:
    title = " ".join(["words"] * 40)
    root = ElementTree.fromstring(draw(replace(BUDGET, title=title), archive))
    heads = [text for text in root.findall(f"{SVG}text") if text.get("class") == "heading"]
    assert " ".join(head.text or "" for head in heads) == title
    assert max(len(head.text or "") for head in heads) * 0.62 * 15.5 < WIDTH - 2 * GAP
