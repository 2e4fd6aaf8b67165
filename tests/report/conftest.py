"""Folders of runs that nobody trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import write_run


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a finished run's folder below `runs`."""

    def write(folder: str, metrics: dict[str, Any] | None, **settings: Any) -> Path:
        return write_run(tmp_path / "runs" / folder, metrics, **settings)

    return write
