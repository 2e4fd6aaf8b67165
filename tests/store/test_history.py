"""history.jsonl: a step's line is whole or not there, of two lines for one step the later counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fake_runs import metric

from simssl.errors import RunError
from simssl.store.folder import RunFolder
from simssl.store.history import Moment, add_moment, read_history


def moment(step: int, value: float) -> Moment:
    return Moment(step, 10 * step, {"knn/accuracy": metric(value)})


def test_what_is_written_is_read_and_the_later_of_two_lines_counts(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert read_history(folder) == []
    for step, value in ((0, 0.1), (20, 0.2), (10, 0.3), (20, 0.4)):
        add_moment(folder, moment(step, value))
    assert read_history(folder) == [moment(0, 0.1), moment(10, 0.3), moment(20, 0.4)]


@pytest.mark.parametrize("torn", [b'{"step": 3', b"\xff\xfe", b'{"step": 30, "views": 3, "metrics": {}}'])
def test_a_torn_last_line_is_dropped(torn: bytes, tmp_path: Path) -> None:
    """Even one that only its end is missing of; the next line does not join it."""
    folder = RunFolder(tmp_path)
    add_moment(folder, moment(0, 0.1))
    with folder.history.open("ab") as file:
        file.write(torn)
    assert read_history(folder) == [moment(0, 0.1)]
    add_moment(folder, moment(30, 0.2))
    assert read_history(folder) == [moment(0, 0.1), moment(30, 0.2)]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "3",
        '{"step": -1, "views": 0, "metrics": {}}',
        '{"step": 1, "views": true, "metrics": {}}',
        '{"step": 1, "views": 0, "metrics": {"knn/accuracy": 0.5}}',
        '{"step": 1, "views": 0, "metrics": {"a/b": {"value": 1, "unit": "", "protocol": {}, "held_out": "a"}}}',
        '{"step": 1, "views": 0, "metrics": {"a": NaN}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_told_with_its_number(line: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    add_moment(folder, moment(0, 0.1))
    with folder.history.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunError, match=r"history.jsonl is damaged in line 2 \(.*\); move it away"):
        read_history(folder)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "run").mkdir()
    folder = RunFolder(tmp_path / "run")
    folder.history.symlink_to(secret)
    with pytest.raises(RunError, match="it is a link"):
        add_moment(folder, moment(0, 0.1))
    assert secret.read_text() == "mine"
    folder.history.unlink()
    os.mkfifo(folder.history)
    with pytest.raises(RunError, match="it is no file"):
        read_history(folder)


def test_a_number_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        add_moment(folder, moment(0, float("nan")))
    assert not folder.history.exists() or folder.history.read_bytes() == b""
