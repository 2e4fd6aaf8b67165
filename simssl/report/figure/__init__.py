"""Figures of a document, each an SVG file made from archives of runs: `draw` makes one from its definition."""

from simssl.report.figure.budget import BudgetFigure, BudgetPanel
from simssl.report.figure.differences import DifferenceFigure, DifferencePanel, Line
from simssl.report.figure.draw import draw

__all__ = ["BudgetFigure", "BudgetPanel", "DifferenceFigure", "DifferencePanel", "Line", "draw"]
