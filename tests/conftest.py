"""What the tests share: the command line in this process, experiment files, and plugin packages of others."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_run import SMALL

from simssl.experiment.yaml12 import dump


@pytest.fixture
def simssl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `simssl ...` in an empty folder. Standard output and error stay apart."""
    from simssl.cli import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SIMSSL_DATA", raising=False)

    def command(*words: object) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words], prog_name="simssl")

    return command


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Writes a small experiment, changed at its top-level keys, and gives its path."""

    def write(file: str = "small.yaml", **changes: object) -> Path:
        path = tmp_path / file
        path.write_text(dump({**SMALL, **changes}))
        return path

    return write


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Installs a plugin package of someone else's, for the length of a test: a module and its metadata."""
    modules = []

    def install(distribution: str, module: str, code: str, requires: Sequence[str] = (), **entry_points: str) -> Path:
        """`requires`: other distributions, with their versions; `entry_points`: kind -> name in YAML."""
        modules.append(module)
        site = tmp_path / f"site-{distribution}"
        info = site / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{module}.py").write_text(textwrap.dedent(code))
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        (info / "METADATA").write_text(head + "".join(f"Requires-Dist: {text}\n" for text in requires))
        points = (f"[simssl.{kind}s]\n{name} = {module}\n" for kind, name in entry_points.items())
        (info / "entry_points.txt").write_text("\n".join(points))
        monkeypatch.syspath_prepend(str(site))
        return site

    yield install
    for module in modules:
        sys.modules.pop(module, None)
