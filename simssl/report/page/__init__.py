"""A report as one HTML page that needs nothing but itself: no network, no other file, no script.

What the page shows is gathered first, from the table and the runs' folders: `gather` asks a module for each section.
Then it is rendered: `render` reads no run, and derives nothing.
"""

from __future__ import annotations

from pathlib import Path

from simssl.blocks.files import write_whole
from simssl.blocks.messages import printable
from simssl.errors import UserError
from simssl.report.page.gather import gather
from simssl.report.page.render import GENERATOR, render
from simssl.report.table import Table

BEGINNING = 1000
"""Bytes of a page in which it says what made it."""


def check_target(path: Path) -> None:
    """UserError, before anything is read, if the page would take the place of a file that is not a page of ours."""
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            ours = f'name="generator" content="{GENERATOR} '.encode() in file.read(BEGINNING)
        if not ours:
            raise UserError(f"{path} is there already and is no page of simssl report; name another file with --html")


def write_page(path: Path, table: Table) -> None:
    """Write the page, whole or not at all; RunError says why it cannot be written.

    Bytes of a file's name that are no UTF-8 are written as escapes.
    """
    page = printable(render(gather(table)))  # a name in it may hold what no page should
    write_whole(path, page.encode(errors="backslashreplace"))
