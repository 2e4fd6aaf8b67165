"""The file of a page: it replaces a page alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import metric
from reports import KNN, Command, Write


@pytest.mark.parametrize("content", ["name: mine\n", "<!doctype html><title>my own</title>"])
def test_a_page_replaces_a_page_alone(content: str, run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    Path("mine.yaml").write_text(content)
    result = simssl("report", "runs", "--html", "mine.yaml")
    assert result.exit_code == 2
    assert "mine.yaml is there already and is no page of simssl report; name another file" in result.stderr
    assert Path("mine.yaml").read_text() == content
    assert [simssl("report", "runs", "--html", "page.html").exit_code for _ in range(2)] == [0, 0]
