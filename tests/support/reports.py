"""The parts that the tests of a report share: its table from runs' folders, and the rows that it prints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import Result

from simssl.report.runs import load_run
from simssl.report.table import Table
from simssl.report.tabulate import tabulate

Command = Callable[..., Result]
Write = Callable[..., Path]
Lines = Callable[..., list[dict[str, str]]]

KNN = "knn/class/accuracy"
STYLE = "style_probe/R2"


def table_of(*runs: Path, against: str | None = None) -> Table:
    """The table of these runs' folders."""
    return tabulate([load_run(path) for path in runs], against)


def markdown_rows(result: Result) -> dict[str, list[str]]:
    """The rows of a Markdown table, by method."""
    lines = [line.strip("| ").split(" | ") for line in result.stdout.splitlines() if line.startswith("|")]
    return {texts[0]: texts[1:] for texts in lines[2:]}
