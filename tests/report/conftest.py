"""Folders of runs that nobody trained, and the lines of their report."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from fake_runs import write_run
from reports import Command, Lines, Write


@pytest.fixture
def run(tmp_path: Path) -> Write:
    """Writes a finished run's folder below `runs`."""

    def write(folder: str, metrics: dict[str, Any] | None, **settings: Any) -> Path:
        return write_run(tmp_path / "runs" / folder, metrics, **settings)

    return write


@pytest.fixture
def lines(simssl: Command) -> Lines:
    """The lines of the CSV of a report."""

    def read(*words: object) -> list[dict[str, str]]:
        result = simssl("report", *(words or ("runs",)), "--format", "csv")
        assert result.exit_code == 0, result.stderr
        return list(csv.DictReader(io.StringIO(result.stdout)))

    return read
