"""A report as one HTML page that needs nothing but itself: no network, no other file, no script."""

from __future__ import annotations

from pathlib import Path

from simssl.measurement.page.document import document
from simssl.measurement.table import Table
from simssl.training.folder import write_whole


def write_page(path: Path, table: Table) -> None:
    """Write the page, whole or not at all; RunError says why it cannot be written."""
    write_whole(path, document(table).encode())
