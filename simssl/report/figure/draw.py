"""A figure's file from its definition and its archives."""

from __future__ import annotations

from pathlib import Path

from simssl.errors import UserError
from simssl.report.figure.budget import BudgetFigure, draw_budget
from simssl.report.figure.differences import DifferenceFigure, draw_differences
from simssl.report.figure.select import runs_in
from simssl.report.figure.sheet import sheet

Figure = BudgetFigure | DifferenceFigure


def draw(figure: Figure, root: Path) -> str:
    """The figure as the text of an SVG file, always the same of the same archives, whose paths are relative to `root`.

    UserError says what the archives lack, or how the definition does not fit them.
    """
    runs = runs_in(figure.archives, root)
    try:
        if isinstance(figure, BudgetFigure):
            sentence, panels = draw_budget(figure, runs)
        else:
            sentence, panels = draw_differences(figure, runs)
    except UserError as error:
        raise UserError(f"figure {figure.name}: {error}") from error
    return sheet(figure.title, sentence, panels, figure.columns)
