"""Budget curves: what methods had learned after so many views, from what their runs measured while they trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from simssl.errors import UserError
from simssl.report.columns import Column
from simssl.report.compare.published import Published, PublishedTable, read_published, value_beside
from simssl.report.figure.select import Where, over_seeds, selected, the_one, with_unit
from simssl.report.figure.sheet import Drawn, check_names, check_title, width_of_panels
from simssl.report.numbers import number
from simssl.report.page.figures import COLOURS, SHAPES, Level, Look, OverTimePlot
from simssl.report.page.steps.drawing import drawn_over_views
from simssl.report.page.steps.measured import History, curves_of, history_of_row
from simssl.report.runs import Run
from simssl.report.table import Row
from simssl.report.tabulate import tabulate


@dataclass(frozen=True)
class BudgetPanel:
    """One metric of some runs against the views, a line a row: a method and its settings."""

    title: str
    """What is shown, in words; the metric and its unit follow."""
    key: str
    """The metric, such as knn/class/accuracy."""
    where: Where = field(default_factory=dict)
    """The settings of the runs that are shown, such as {"dataset.name": "mnist"}."""
    published: Sequence[str] = ()
    """The objectives whose published values are shown."""
    from_views: int = 0
    """What was measured before so many views is left out, to show the rest more closely."""


@dataclass(frozen=True)
class BudgetFigure:
    """Panels of budget curves, from archives that hold what runs measured while they trained."""

    name: str
    """The file is docs/images/results-NAME.svg."""
    title: str
    archives: Sequence[str]
    panels: Sequence[BudgetPanel]
    note: str = ""
    """What a reader needs to know of the runs; how many seeds there are is added."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Other names for rows than a report's, by these; and for the objectives of published values."""
    against: str = ""
    """The table of published values, if panels show any: a file, or the name of an installed one."""
    columns: int = 2
    """Panels beside one another."""


Looks = dict[str, Look]
"""The look of each line, by its name: the same in all panels."""


def draw_budget(figure: BudgetFigure, runs: Sequence[Run]) -> tuple[str, list[Drawn]]:
    """The sentence below the title, and the panels. UserError says what is not there."""
    looks: Looks = {}
    unused = set(figure.names)
    panels = []
    counts: set[int] = set()
    sources: dict[str, None] = {}
    table = read_published(figure.against) if any(panel.published for panel in figure.panels) else {}
    for panel in figure.panels:
        rows = _rows(selected(runs, panel.where), figure.names, unused)
        _add_looks(looks, rows)
        plot, column = _plot(panel, rows, looks)
        published = [_published(name, rows, column, figure.against, table) for name in panel.published]
        sources |= dict.fromkeys(_source(value) for _, value in published)
        levels = [_level(row, value, column, looks, figure.names) for row, value in published]
        unused -= set(panel.published)
        width = width_of_panels(figure.columns)
        check_title(plot.name, width)
        check_names([*(curve.label for curve in plot.curves), *(level.label for level in levels)], width)
        elements = drawn_over_views(plot, width, levels, log=True)
        panels.append(Drawn(elements, plot.description))
        counts |= {point.value.n for curve in plot.curves for point in curve.points}
    if unused:
        raise UserError(f"no row is called '{min(unused)}'")
    told = [figure.note, over_seeds(counts)]
    told += [f"broken lines: published in {figure.against}, {source}" for source in sources]
    return "; ".join(filter(None, told)), panels


def _rows(runs: Sequence[Run], names: Mapping[str, str], unused: set[str]) -> list[Row]:
    """The rows of these runs, with their names in the figure. Rows of two experiments have their experiments' names
    beside theirs, if these are alike."""
    rows = tabulate(runs).rows
    labels = [row.label for row in rows]
    renamed = []
    for row in rows:
        label = row.label if labels.count(row.label) == 1 else f"{row.label}, {row.experiment}"
        unused.discard(label)
        renamed.append(replace(row, label=names.get(label, label), names_apart=None))
    if len({row.label for row in renamed}) < len(renamed):
        raise UserError("two rows have one name; choose runs with 'where', or give them others in 'names'")
    return renamed


def _add_looks(looks: Looks, rows: Sequence[Row]) -> None:
    """Give each row that has measured something while it trained a look, if it has none yet: the next colour."""
    for row in rows:
        if row.label not in looks and any(run.history for run in row.members):
            looks[row.label] = Look(f"c{len(looks) % COLOURS}", SHAPES[row.family])


def _plot(panel: BudgetPanel, rows: Sequence[Row], looks: Looks) -> tuple[OverTimePlot, Column]:
    histories = {row.label: _since(panel.from_views, history_of_row(row)) for row in rows}
    column = the_one(panel.key, [column for history in histories.values() for column in history])
    curves = curves_of(column, rows, histories, looks)
    told = "; ".join(curve.title for curve in curves)
    title = with_unit(panel.title, column)
    return OverTimePlot(title, curves, f"{title} over the views, at the end: {told}", caption=""), column


def _since(views: int, history: History) -> History:
    """What was measured after so many views or more."""
    later: History = {}
    for column, by_views in history.items():
        kept = {at: by_seed for at, by_seed in by_views.items() if at >= views}
        if kept:
            later[column] = kept
    return later


def _published(
    objective: str, rows: Sequence[Row], column: Column, against: str, table: PublishedTable
) -> tuple[Row, Published]:
    """The first row of an objective, and the value that is published beside it in the table of this name."""
    for row in rows:
        if row.objective == objective:
            value = value_beside(column, row.members[0], table)
            if value:
                return row, value
    raise UserError(f"{against} has no {column.key} beside a run of {objective}")


def _source(published: Published) -> str:
    return published.source + (f", selected on {published.selected_on}" if published.selected_on else "")


def _level(row: Row, published: Published, column: Column, looks: Looks, names: Mapping[str, str]) -> Level:
    if row.label not in looks:
        raise UserError(f"{row.label} has measured nothing while it trained, so that its published value has no colour")
    method = names.get(row.objective, row.objective)
    return Level(f"{method} {number(published.value, column.unit)}", published.value, looks[row.label])
