"""The tables of docs/results.md that come from a committed archive are what the command beside them prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
ARCHIVES = sorted((ROOT / "docs" / "results").glob("*.csv"))
COMMANDS = re.findall(r"^simssl report docs/results/.*--format md.*$", PAGE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.split()[2])
def test_the_table_is_rebuilt_to_the_byte(
    line: str, simssl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = simssl(*shlex.split(line)[1:])
    assert result.exit_code == 0, result.stderr
    _, _, after = PAGE.read_text().partition(f"{line}\n```\n\n")
    assert after.startswith(result.stdout)


def test_every_archive_has_a_table() -> None:
    assert ARCHIVES
    shown = {shlex.split(line)[2] for line in COMMANDS}
    assert shown == {str(path.relative_to(ROOT)) for path in ARCHIVES}
