"""environment.json as others may have left it: what can be read counts, and nothing ends a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.store.environment import Record, Source, sources
from simssl.store.folder import RunFolder

Command = Callable[..., Result]
Write = Callable[..., Path]


def folder_with(path: Path, content: object) -> RunFolder:
    folder = RunFolder(path)
    folder.environment.write_text(json.dumps(content))
    return folder


def test_a_plugin_whose_kind_is_not_told_is_passed_over(tmp_path: Path) -> None:
    files = {"mine": {"path": "a.py", "sha256": "00"}, "objective yours": {"path": "b.py", "sha256": "11"}}
    folder = folder_with(tmp_path, {"training": {"plugin_files": files}})
    assert sources(folder, "plugin_files") == {("objective", "yours"): Source("b.py", "11")}


@pytest.mark.parametrize(
    "content",
    [[], {"training": 3}, {"training": {"plugin_files": 3}}, {"training": {"plugin_files": {"objective a": 3}}}],
)
def test_a_damaged_record_gives_no_sources(content: object, tmp_path: Path) -> None:
    assert sources(folder_with(tmp_path, content), "plugin_files") == {}


def test_a_plugin_whose_kind_is_not_told_ends_no_command(simssl: Command, small: Write) -> None:
    assert simssl("run", small()).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    record = json.loads((run / "environment.json").read_text())
    record["training"]["plugin_files"] = {"mine": {"path": "a.py", "sha256": "00"}}
    (run / "environment.json").write_text(json.dumps(record))
    for words in (("run", small()), ("evaluate", run)):
        result = simssl(*words)
        assert result.exit_code == 0, result.stderr


def test_a_part_may_be_a_list_of_pairs(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {"training": [["times", {"first_started": "then"}]]})
    warnings: list[str] = []
    Record(folder, {}, warnings.append).add("training", ended="now")
    assert not warnings
    times = json.loads(folder.environment.read_text())["training"]["times"]
    assert times == {"first_started": "then", "ended": "now"}
