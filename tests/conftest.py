"""What the tests share: the command line in this process, experiment files, and plugin packages of others.

Tests that are marked `cuda` have the CUDA device for themselves. From all others it is hidden, so that they test the
CPU on every machine.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from small_run import SMALL

from simssl.experiment.yaml12 import dump

CHECKS_OF_CUDA = ("step_is_captured_on_cuda",)
"""The checks of the conformance suite that need a device."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the checks of plugins that need a device."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if item.name.startswith("test_conformance[") and parameters.get("check") in CHECKS_OF_CUDA:
        item.add_marker("cuda")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hide the device for as long as a test and its fixtures last, unless the test is marked."""
    if item.get_closest_marker("cuda") or not _has_device():
        return (yield)
    with _hidden_device():
        return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") and not _has_device():
        pytest.skip("there is no CUDA device")


@cache
def _has_device() -> bool:
    """True if there is a CUDA device. CUDA is begun then: only then does it read which devices it may see."""
    import torch

    if not torch.cuda.is_available():
        return False
    torch.cuda.init()
    return True


@contextmanager
def _hidden_device() -> Iterator[None]:
    """Hide the device from this process and from those that it starts."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: False)
        patch.setattr(torch.cuda, "device_count", lambda: 0)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


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
