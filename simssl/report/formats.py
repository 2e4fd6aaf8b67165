"""A report's table as text: Markdown, CSV, JSON, LaTeX, or for a terminal."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from simssl.blocks.messages import printable_line
from simssl.report.columns import Column
from simssl.report.numbers import ABSENT, UNDERTRAINED, at, caption, headings_of, names_of, texts_at
from simssl.report.table import Absent, Measured, Row, Table
from simssl.report.terminal import terminal


def markdown(table: Table) -> str:
    """The summary columns as a Markdown table."""
    blocks = []
    for name, part in table.named_parts:
        if name:
            blocks.append(f"**{_escaped_in_markdown(name)}**")
        headings, *rows = _lines(part, _escaped_in_markdown, bold="**{}**")
        rule = ["---"] * len(headings)
        lines = []
        for line in (headings, rule, *rows):
            entries = " | ".join(line)
            lines.append(f"| {entries} |")
        blocks.append("\n".join(lines))
    blocks.append(f"{_escaped_in_markdown(caption(table))}.")
    notes = [f"- {_escaped_in_markdown(note)}" for note in table.notes]
    blocks.append("\n".join(notes))
    return "\n\n".join(blocks).rstrip()


def _escaped_in_markdown(text: str) -> str:
    """The text in one line, in which nothing begins a cell, HTML, code, a link or a picture."""
    line = printable_line(text).replace("\\", "\\\\")
    for mark in ("|", "<", "`", "]("):
        line = line.replace(mark, f"\\{mark}")
    return line


def latex(table: Table) -> str:
    """The summary columns as a LaTeX tabular (booktabs), one for each experiment."""
    comments = ""
    for sentence in (caption(table), *table.notes):
        comments += f"% {_in_one_line(sentence)}\n"
    tabulars = []
    for name, part in table.named_parts:
        heading = f"% {_in_one_line(name)}\n" if name else ""
        tabulars.append(heading + _tabular(part))
    return comments + "\n".join(tabulars)


def _in_one_line(text: str) -> str:
    return printable_line(" ".join(text.split()))


def _tabular(table: Table) -> str:
    headings, *rows = _lines(table, _escaped_in_latex, bold=r"\textbf{{{}}}")
    alignment = "l" + "r" * (len(headings) - 1)
    lines = [r"\toprule"]
    lines.append(_tabular_row(headings))
    lines.append(r"\midrule")
    lines += map(_tabular_row, rows)
    lines.append(r"\bottomrule")
    inside = "\n".join(f"    {line}" for line in lines)
    return f"\\begin{{tabular}}{{{alignment}}}\n{inside}\n\\end{{tabular}}"


def _tabular_row(line: Sequence[str]) -> str:
    entries = " & ".join(line)
    return rf"{entries} \\"


def _lines(table: Table, escaped: Callable[[str], str], bold: str) -> list[list[str]]:
    """The headings of the summary and its rows, as text. `bold` is a format string."""
    columns = table.summary
    headings = headings_of(table)
    headings += [column.title for column in columns]
    lines = [list(map(escaped, headings))]
    for row in table.rows:
        names = names_of(table, row)
        line = list(map(escaped, names))
        for column in columns:
            texts = texts_at(row, column)
            number, *rest = map(escaped, texts)
            if column in row.best:
                number = bold.format(number)
            entry = " / ".join([number, *rest])
            line.append(entry)
        lines.append(line)
    return lines


TEX = {
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "\N{MINUS SIGN}": "$-$",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}",
    ABSENT: "--",
    UNDERTRAINED: r"$\dagger$",
}
"""The LaTeX of each character that cannot stand there as it is."""


def _escaped_in_latex(text: str) -> str:
    characters = [TEX.get(character, character) for character in printable_line(text)]
    return "".join(characters)


def records(table: Table) -> list[dict[str, Any]]:
    """Every number, one record each; and one for each number that is not there, with its `status`."""
    entries = list(_entries(table))
    any_undertrained = any(_is_undertrained(entry) for _, _, entry in entries)
    numbers = []
    for row, column, entry in entries:
        record = _record(table, row, column, entry)
        if any_undertrained:
            record["undertrained"] = _is_undertrained(entry)
        if table.chosen_by:
            record["tried"] = row.tried
            record["held_out"] = _mean_held_out(entry)
        numbers.append(record)
    return numbers


def _is_undertrained(entry: Measured | Absent) -> bool:
    return isinstance(entry, Measured) and entry.undertrained


def _mean_held_out(entry: Measured | Absent) -> float | None:
    if isinstance(entry, Absent) or not entry.held_out:
        return None
    return fmean(entry.held_out.values())


def _entries(table: Table) -> Iterator[tuple[Row, Column, Measured | Absent]]:
    """The entries of the table, each with its row and column."""
    for row in table.rows:
        for column in table.columns:
            entry = at(row, column)
            if entry is not None:
                yield row, column, entry


def _record(table: Table, row: Row, column: Column, entry: Measured | Absent) -> dict[str, Any]:
    """The record of an entry. Every record has the same keys; those that do not apply are None."""
    record = {
        "experiment": row.experiment,
        "method": row.label,
        "family": row.family,
        "key": column.key,
        "remark": column.remark.strip(),
        "status": "measured",
        "reason": None,
        "mean": None,
        "stderr": None,
        "runs": 0,
        "best": column in row.best,
        "unit": column.unit,
        "better": column.better,
        "role": column.role,
        "selected_on": column.protocol.get("selected_on"),
        "published": None,
        "published_stderr": None,
        "published_selected_on": None,
        "source": None,
        "relative_to": None,
        "difference": None,
        "difference_stderr": None,
    }
    if isinstance(entry, Absent):
        record["status"] = entry.why
        record["reason"] = entry.reason
    else:
        ours = entry.ours
        record["mean"] = ours.mean
        record["stderr"] = ours.stderr
        record["runs"] = ours.n
    published = entry.published
    if published:
        record["published"] = published.value
        record["published_stderr"] = published.stderr
        record["published_selected_on"] = published.selected_on
        record["source"] = published.source
    if isinstance(entry, Measured) and entry.difference:
        record["relative_to"] = table.relative_to
        record["difference"] = entry.difference.mean
        record["difference_stderr"] = entry.difference.stderr
    return record


def as_json(table: Table) -> str:
    """Every number, with its protocol."""
    metrics = []
    for record, (_, column, _) in zip(records(table), _entries(table), strict=True):
        record["protocol"] = dict(column.protocol)
        metrics.append(record)
    told = {"metrics": metrics, "notes": list(table.notes)}
    return json.dumps(told, indent=2, allow_nan=False)


def as_csv(table: Table) -> str:
    """Every number, one line each."""
    lines = io.StringIO()
    rows = [_cells(record) for record in records(table)]
    header = list(rows[0]) if rows else []
    writer = csv.DictWriter(lines, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return lines.getvalue().rstrip("\n")


def _cells(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as a spreadsheet may open it: no text in it is a formula, or of several lines."""
    cells = {}
    for key, value in record.items():
        cell = value
        if isinstance(value, str):
            cell = printable_line(value)
            if cell.startswith(FORMULA):
                cell = f"'{cell}"
        cells[key] = cell
    return cells


FORMULA = ("=", "+", "-", "@")
"""The beginnings of what a spreadsheet computes. An apostrophe before it makes it text."""

FORMATS = {
    "table": terminal,
    "md": markdown,
    "csv": as_csv,
    "json": as_json,
    "latex": latex,
}
