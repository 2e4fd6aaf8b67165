"""The training curves: each term of each method, a line for each seed."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.report.page.elements import Html, folded, joined, section, tag
from simssl.report.page.events import Curve, curves_of
from simssl.report.page.look import Look, Looks
from simssl.report.page.plots import curves
from simssl.report.table import Row

HOW = (
    "Each term of the loss, and what the method monitors, at the steps that were logged; a line for each seed. The "
    "axes are made for what follows the first tenth of the steps."
)


def training(rows: Sequence[Row], looks: Looks, level: int) -> Html:
    """A section with what the event files hold; and a sentence about the trained methods that have none."""
    found = [(row, looks[row.label], _terms(row)) for row in rows]
    shown = [_of_method(row, look, terms) for row, look, terms in found if terms]
    if not shown:
        return Html()
    without = [row.label for row, _, terms in found if not terms and row.runs and row.family != "untrained"]
    sentence = tag("p", f"No curves of {', '.join(without)}: there are no TensorBoard events.") if without else None
    return section(level, "Training", tag("p", HOW, class_="how"), joined(shown), sentence)


def _terms(row: Row) -> dict[str, list[Curve]]:
    """The curves of each term, one a seed."""
    terms: dict[str, list[Curve]] = {}
    for run in row.members:
        for name, curve in (curves_of(run.path) if run.path else {}).items():
            terms.setdefault(name, []).append(curve)
    return terms


def _of_method(row: Row, look: Look, terms: dict[str, list[Curve]]) -> Html:
    plots = [
        tag("figure", curves(name, found, look, f"{name} of {row.label} over the steps, {len(found)} runs"))
        for name, found in terms.items()
    ]
    return folded(f"{row.label}: {', '.join(terms)}", tag("div", *plots, class_="small"))
