"""Differences of one method from another over a setting: pairs of runs, mean and standard error over their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from simssl.errors import UserError
from simssl.report.columns import Column, column_of
from simssl.report.compare.estimate import Estimate, difference
from simssl.report.figure.difference_drawing import DifferenceLine, DifferencePlot, drawn_differences
from simssl.report.figure.paired import Equal, Pair, pairs_of
from simssl.report.figure.select import Where, every_setting, over_seeds, selected, the_one, with_unit
from simssl.report.figure.sheet import Drawn, check_names, check_title, width_of_panels
from simssl.report.numbers import signed
from simssl.report.page.figures import COLOURS, Look
from simssl.report.page.svg import CORNERS
from simssl.report.runs import Run

SHAPES = ("circle", *CORNERS)


@dataclass(frozen=True)
class Line:
    """A line of every panel: pairs of which ours has these settings."""

    label: str
    where: Where = field(default_factory=dict)
    """Such as {"objective.J": 10}."""
    equal: Equal = "views"
    """What both of a pair were shown equally many of, in all and in a step."""


@dataclass(frozen=True)
class DifferencePanel:
    """One metric of some runs."""

    title: str
    """What is shown, in words; the metric and its unit follow."""
    key: str
    """The metric, such as knn/class/accuracy."""
    where: Where = field(default_factory=dict)
    """The settings of the runs of both methods, such as {"dataset.name": "mnist"}."""


@dataclass(frozen=True)
class DifferenceFigure:
    """Panels with differences of one method from another, over one setting."""

    name: str
    """The file is docs/images/results-NAME.svg."""
    title: str
    archives: Sequence[str]
    panels: Sequence[DifferencePanel]
    ours: str
    """The objective whose numbers count."""
    theirs: str
    """The objective whose numbers are taken from them."""
    over: str
    """The setting, such as objective.sigma2_x: numbers, on a logarithmic axis if they differ eightfold, or categories,
    which stand to the right of them."""
    lines: Sequence[Line] = (Line(""),)
    note: str = ""
    """What a reader needs to know of the runs; how many seeds there are is added."""
    empty: Any = None
    """The value of the setting where a run leaves it empty."""
    over_title: str = ""
    """The setting in words; its name if this is empty."""
    columns: int = 2
    """Panels beside one another."""


def draw_differences(figure: DifferenceFigure, runs: Sequence[Run]) -> tuple[str, list[Drawn]]:
    """The sentence below the title, and the panels. UserError says what is not there."""
    width = width_of_panels(figure.columns)
    check_names([line.label for line in figure.lines], width)
    panels = []
    counts: set[int] = set()
    for panel in figure.panels:
        plot = _plot(figure, panel, selected(runs, panel.where))
        check_title(plot.title, width)
        elements = drawn_differences(plot, width)
        panels.append(Drawn(elements, _description(plot)))
        counts |= {value.n for line in plot.lines for _, value in line.points}
    told = f"{figure.ours} minus {figure.theirs}, seed by seed: {over_seeds(counts)}"
    return "; ".join(filter(None, [figure.note, told])), panels


def _plot(figure: DifferenceFigure, panel: DifferencePanel, runs: Sequence[Run]) -> DifferencePlot:
    measured = [run for run in runs if "value" in run.metrics.get(panel.key, {})]
    theirs = _of(figure.theirs, measured, panel)
    ours = _of(figure.ours, measured, panel)
    column = the_one(panel.key, [_column(run, panel.key) for run in (*ours, *theirs)])
    lines = []
    for number, line in enumerate(figure.lines):
        pairs = pairs_of(selected(ours, line.where), theirs, line.equal)
        if not pairs:
            raise UserError(
                f"no runs of {figure.ours} and of {figure.theirs} have all other settings, the seed and the number of "
                f"{line.equal} in common ({panel.title}{line.label and ', '}{line.label})"
            )
        look = Look(f"c{number % COLOURS}", SHAPES[number % len(SHAPES)])
        lines.append(DifferenceLine(line.label, look, _points(pairs, figure, panel.key)))
    title = figure.over_title or figure.over.rpartition(".")[2]
    return DifferencePlot(with_unit(panel.title, column, column.unit), title, lines, column.unit)


def _of(objective: str, runs: Sequence[Run], panel: DifferencePanel) -> list[Run]:
    named = [run for run in runs if run.settings["objective"]["name"] == objective]
    if not named:
        raise UserError(f"no run of {objective} has measured {panel.key} ({panel.title})")
    return named


def _column(run: Run, key: str) -> Column:
    return column_of(key, run.metrics[key])


def _points(pairs: Sequence[Pair], figure: DifferenceFigure, key: str) -> list[tuple[Any, Estimate]]:
    """The difference at each value of the setting, in their order: numbers first."""
    by_value: dict[Any, list[Pair]] = {}
    for pair in pairs:
        by_value.setdefault(_value(pair.ours, figure), []).append(pair)
    points = []
    for value, at in by_value.items():
        _check_alike(at, figure.over, value)
        ours = {pair.seed: pair.ours.metrics[key]["value"] for pair in at}
        theirs = {pair.seed: pair.theirs.metrics[key]["value"] for pair in at}
        estimate = difference(ours, theirs)
        assert estimate  # they share all seeds
        points.append((value, estimate))
    return sorted(points, key=lambda point: (isinstance(point[0], str), point[0]))


def _value(run: Run, figure: DifferenceFigure) -> Any:
    """The run's value of the setting: a number, or a text."""
    settings = every_setting(run)
    if figure.over not in settings:
        raise UserError(f"{run.source} has no setting '{figure.over}'")
    value = settings[figure.over]
    if value is None:
        value = figure.empty
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if value is None:
        raise UserError(f"{run.source} leaves '{figure.over}' empty; say what that means with 'empty'")
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _check_alike(pairs: Sequence[Pair], over: str, value: Any) -> None:
    """UserError if the pairs of one point differ in more than the seed: in runs of ours, or of theirs."""
    for runs in ([pair.ours for pair in pairs], [pair.theirs for pair in pairs]):
        first = every_setting(runs[0])
        for own in map(every_setting, runs):
            keys = {*own, *first} - {"seed", "name"}
            differing = sorted(key for key in keys if own.get(key) != first.get(key))
            if differing:
                raise UserError(f"runs at {over} {value} differ in {differing[0]}, too; choose one with 'where'")
    seen = set()
    for pair in pairs:
        if pair.seed in seen:
            raise UserError(f"two runs at {over} {value} have seed {pair.seed}; choose one with 'where'")
        seen.add(pair.seed)


def _description(plot: DifferencePlot) -> str:
    told = []
    for line in plot.lines:
        at = ", ".join(f"{value} {signed(estimate, plot.unit, estimate.n)}" for value, estimate in line.points)
        told.append(f"{line.label}: {at}" if line.label else at)
    return f"{plot.title} over {plot.over}: {'; '.join(told)}"
