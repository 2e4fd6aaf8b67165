"""What methods have measured while they trained, over the views that were shown: their runs' histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from simssl.report.columns import Column, column_of, role_of, told_apart
from simssl.report.compare.estimate import Estimate
from simssl.report.history import history_of
from simssl.report.numbers import estimate
from simssl.report.page.figures import Looks, MeasuredPoint, MethodCurve, OverTimePlot, axis_title
from simssl.report.table import Row, Table

MOST = 40
"""Most plots of metrics of single targets at the same data, views, networks and budget. Ours."""

ORDER = {"content": 0, "style": 1, None: 2}
"""The order of the plots, by what is measured."""

OfSeed = dict[int, float]
"""Numbers by seed."""

History = dict[Column, dict[int, OfSeed]]
"""The numbers of a row's runs, by column and by the views that were shown."""


@dataclass(frozen=True)
class OverTime:
    summary: Sequence[OverTimePlot]
    """The plots of each evaluator's summary, content first."""
    targets: Sequence[OverTimePlot]
    """Those of single targets."""


def over_time(alike: Sequence[tuple[Table, str]], looks: Looks) -> OverTime | None:
    """A plot for each metric, with a curve for each method; None if no run was measured while it trained.

    `alike` has a table for each data, views, networks and budget, with what tells it from the others.
    """
    summary: list[OverTimePlot] = []
    targets: list[OverTimePlot] = []
    for part, where in alike:
        histories = {row.label: history_of_row(row) for row in part.rows}
        columns = _columns(histories)
        of_summary = [column for column in columns if not column.target or _alone(column, columns)]
        of_targets = [column for column in columns if column not in of_summary]
        summary += [_plot(column, part.rows, histories, looks, where) for column in of_summary]
        targets += [_plot(column, part.rows, histories, looks, where) for column in of_targets[:MOST]]
    return OverTime(summary, targets) if summary else None


def _alone(column: Column, columns: Sequence[Column]) -> bool:
    """True if the column's evaluator has no summary."""
    return all(other.target for other in columns if other.label == column.label)


def _columns(histories: Mapping[str, History]) -> list[Column]:
    """The columns that are measured more than once, content before style, as the histories have them."""
    columns: dict[Column, Column] = {}
    for history in histories.values():
        for column, by_views in history.items():
            if len(by_views) > 1:
                columns.setdefault(column, column)
    return told_apart(sorted(columns.values(), key=lambda column: ORDER[column.role]))


def history_of_row(row: Row) -> History:
    """What the row's runs have measured while they trained."""
    history: History = {}
    for run in row.members:
        for moment in history_of(run):
            of_moment = replace(run, metrics=moment.metrics)
            for key, entry in moment.metrics.items():
                if "value" in entry:
                    column = replace(column_of(key, entry), role=role_of(key, of_moment))
                    by_seed = history.setdefault(column, {}).setdefault(moment.views, {})
                    by_seed[run.settings["seed"]] = entry["value"]
    return history


def _plot(
    column: Column, rows: Sequence[Row], histories: Mapping[str, History], looks: Looks, where: str
) -> OverTimePlot:
    curves = curves_of(column, rows, histories, looks, where)
    told = "; ".join(curve.title for curve in curves)
    caption = f"{(column.role or column.label).capitalize()}, by {column.title}"
    return OverTimePlot(
        name=axis_title(column),
        curves=curves,
        description=f"{column.key} over the views that were shown, at the end: {told}",
        caption=f"{caption}: {where}" if where else caption,
    )


def curves_of(
    column: Column, rows: Sequence[Row], histories: Mapping[str, History], looks: Looks, where: str = ""
) -> list[MethodCurve]:
    """The curve of each row that has measured this, with standard errors over its seeds. Histories and looks are by the
    rows' labels; `where` tells their data, views, networks and budget, if these are told beside the plot."""
    curves = []
    for row in rows:
        by_views = histories[row.label].get(column, {})
        if by_views:
            points = [MeasuredPoint(views, Estimate.of(list(by_views[views].values()))) for views in sorted(by_views)]
            label = row.label_among(where)
            last = estimate(points[-1].value, column.unit, len(row.members))
            curves.append(MethodCurve(label, looks[row.label], points, f"{label}: {last}"))
    return curves
