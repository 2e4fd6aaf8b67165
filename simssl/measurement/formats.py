"""A report's table as text: Markdown, CSV, JSON, LaTeX, or for a terminal."""

from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

from simssl.measurement.estimate import Estimate
from simssl.measurement.report import Cell, Row, Table

ABSENT = "\N{EN DASH}"


def number(value: float, unit: str, stderr: float | None = None) -> str:
    """Three decimals for what lies between 0 and 1 by nature; else two digits of the standard error, or three of
    the value where there is none."""
    if unit in ("fraction", "R2"):
        decimals = 3
    else:
        digits, of = (2, stderr) if stderr else (3, value)
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(of) or 1)))
    text = f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return text if stderr is None else f"{text}±{stderr:.{decimals}f}"


def cell_text(cell: Cell | None, unit: str, runs: int) -> list[str]:
    """The mean with its standard error; below it the published value with ours minus it, and, in brackets, the
    difference from the row that the table is relative to."""
    if cell is None:
        return [ABSENT]
    lines = [_estimate(cell.ours, unit, runs)]
    if cell.published:
        difference = f"{cell.ours.mean - cell.published.value:+.3f}".replace("-", "\N{MINUS SIGN}")
        lines.append(f"{cell.published.source}: {number(cell.published.value, unit)}, {difference}")
    if cell.difference:
        sign = "+" if cell.difference.mean >= 0 else ""
        lines.append(f"({sign}{_estimate(cell.difference, unit, runs)})")
    return lines


def _estimate(estimate: Estimate, unit: str, runs: int) -> str:
    """The mean with its standard error, and its number of runs if that is not the row's."""
    text = number(estimate.mean, unit, estimate.stderr)
    return text if estimate.n == runs else f"{text}, n={estimate.n}"


def headings(table: Table) -> list[str]:
    """Of the columns that tell the rows apart, and of the summary's."""
    return [*_first(table, None), *(column.title for column in table.summary)]


def _first(table: Table, row: Row | None) -> list[str]:
    """The cells (headings, without a row) before the numbers: experiment and runs only where they differ."""
    cells = [row.label if row else "method"]
    if len({r.experiment for r in table.rows}) > 1:
        cells.insert(0, row.experiment if row else "experiment")
    if len({r.runs for r in table.rows}) > 1:
        cells.append(str(row.runs) if row else "runs")
    return cells


def _numbers(table: Table, row: Row) -> list[list[str]]:
    return [cell_text(row.cells.get(column), column.unit, row.runs) for column in table.summary]


def caption(table: Table) -> str:
    """What stands in the cells."""
    counts = {row.runs for row in table.rows}
    runs = f"{counts.pop()} runs each" if len(counts) == 1 else "the runs"
    text = "one run each" if runs == "1 runs each" else f"mean±standard error over {runs}"
    return f"{text}; in brackets the difference from {table.relative_to}, seed by seed" if table.relative_to else text


def terminal(table: Table) -> str:
    """The summary columns, for a terminal; never cut short, however narrow it is."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable

    shown = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, heading in enumerate(_first(table, None)):
        shown.add_column(heading, justify="right" if i else "left", no_wrap=True)
    for column in table.summary:
        lines = [column.key.replace("/", "\n/"), column.remark.strip()]
        shown.add_column("\n".join(filter(None, lines)), justify="right", no_wrap=True)
    for row in table.rows:
        shown.add_row(*_first(table, row), *("\n".join(lines) for lines in _numbers(table, row)))
    console = Console(highlight=False, markup=False, width=10_000)
    with console.capture() as captured:
        console.print(shown)
    lines = [line.rstrip() for line in captured.get().rstrip("\n").split("\n")]
    return "\n".join(["", *lines, "", caption(table), *table.notes])


def markdown(table: Table) -> str:
    """The summary columns as a Markdown table."""
    heads, *rows = _lines(table)
    lines = [heads, ["---"] * len(heads), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n\n".join([text, caption(table) + ".", *(f"- {note}" for note in table.notes)])


def latex(table: Table) -> str:
    """The summary columns as a LaTeX tabular (booktabs)."""
    heads, *rows = [" & ".join(map(_tex, line)) + r" \\" for line in _lines(table)]
    columns = "l" + "r" * (len(_lines(table)[0]) - 1)
    body = [r"\toprule", heads, r"\midrule", *rows, r"\bottomrule"]
    inside = "\n".join(f"    {line}" for line in body)
    return f"% {caption(table)}\n\\begin{{tabular}}{{{columns}}}\n{inside}\n\\end{{tabular}}"


def _lines(table: Table) -> list[list[str]]:
    """Headings and rows of the summary, as text."""
    rows = [[*_first(table, row), *map(" / ".join, _numbers(table, row))] for row in table.rows]
    return [headings(table), *rows]


def _tex(text: str) -> str:
    for character in "&%$#_{}":
        text = text.replace(character, "\\" + character)
    return text.replace("±", r"$\pm$").replace("\N{MINUS SIGN}", "$-$").replace(ABSENT, "--")


def records(table: Table) -> list[dict[str, Any]]:
    """Every number, one record each."""
    return [
        {
            "experiment": row.experiment,
            "method": row.label,
            "key": column.key,
            "remark": column.remark.strip(),
            "mean": cell.ours.mean,
            "stderr": cell.ours.stderr,
            "runs": cell.ours.n,
            "unit": column.unit,
            "better": column.better,
            "selected_on": column.protocol.get("selected_on"),
            "published": cell.published.value if cell.published else None,
            "published_stderr": cell.published.stderr if cell.published else None,
            "published_selected_on": cell.published.selected_on if cell.published else None,
            "source": cell.published.source if cell.published else None,
            "relative_to": table.relative_to if cell.difference else None,
            "difference": cell.difference.mean if cell.difference else None,
            "difference_stderr": cell.difference.stderr if cell.difference else None,
        }
        for row in table.rows
        for column, cell in row.cells.items()
    ]


def as_json(table: Table) -> str:
    """Every number, with its protocol."""
    protocols = [dict(column.protocol) for row in table.rows for column in row.cells]
    metrics = [{**record, "protocol": protocol} for record, protocol in zip(records(table), protocols, strict=True)]
    return json.dumps({"metrics": metrics, "notes": list(table.notes)}, indent=2, allow_nan=False)


def as_csv(table: Table) -> str:
    """Every number, one line each."""
    lines = io.StringIO()
    rows = records(table)
    writer = csv.DictWriter(lines, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().rstrip("\n")


FORMATS = {"table": terminal, "md": markdown, "csv": as_csv, "json": as_json, "latex": latex}
