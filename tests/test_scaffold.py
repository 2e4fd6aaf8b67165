"""`simssl new`: five packages that install, run and pass their own tests before a line is changed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from hooks import example

from simssl.experiment.schema import MODELINE
from simssl.plugin.registry import KINDS
from simssl.scaffold import Package, _requirement

Command = Callable[..., Result]

SCHEMA = MODELINE.format("simssl.schema.json")

RUN_ALL = """
import os, sys
from simssl.cli import cli

here = os.getcwd()
for folder in sys.argv[1:]:
    os.chdir(os.path.join(here, folder))
    assert not cli(["run", "experiment.yaml", "-s", "training.epochs=1"], "simssl", standalone_mode=False), folder
"""
"""Each package's own experiment, in one process."""


@pytest.mark.parametrize("kind", KINDS)
def test_package_holds_the_worked_example(kind: str) -> None:
    """As it stands, for the pages show it, too."""
    assert Package(kind, "mine").files()["simssl_mine.py"] == example(kind)


def test_five_packages_install_run_and_pass_their_tests(simssl: Command, tmp_path: Path) -> None:
    """They are installed by pip, without the network, in an environment that sees this one's libraries."""
    folders = [f"my-{kind}" for kind in KINDS]
    for kind, folder in zip(KINDS, folders, strict=True):
        assert simssl("new", kind, f"my_{kind}", folder).exit_code == 0
    python = environment(tmp_path / "environment")
    editable = [word for folder in folders for word in ("-e", folder)]
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    output(sys.executable, "-m", "pip", "--python", python, "install", *offline, *editable)
    output(python, "-c", RUN_ALL, *folders)
    tested = output(python, "-m", "pytest", "-v", "-p", "no:cacheprovider", *folders)
    for kind in KINDS:
        assert re.search(rf"test_my_{kind}\.py::.* PASSED", tested)
    assert re.search(r"^=+ \d+ passed, \d+ skipped in", tested, re.M)


def environment(folder: Path) -> str:
    """The Python of a new virtual environment that sees all that this one does."""
    output(sys.executable, "-m", "venv", "--without-pip", str(folder))
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "tests.pth").write_text("\n".join(path for path in sys.path if os.path.isdir(path)))
    return str(folder / "bin" / "python")


def output(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture
def scaffold(simssl: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Writes a package and puts it on the path, with the metadata that an installation would write."""

    def install(kind: str, name: str) -> Path:
        folder = tmp_path / name
        assert simssl("new", kind, name, folder).exit_code == 0
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        requires = "".join(f"Requires-Dist: {text}\n" for text in project["dependencies"])
        head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (info / "METADATA").write_text(head + requires)
        points = "".join(
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in named.items())
            for group, named in project["entry-points"].items()
        )
        (info / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(str(folder))
        return folder

    return install


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_is_whole(kind: str, scaffold: Callable[[str, str], Path], simssl: Command) -> None:
    folder = scaffold(kind, f"own_{kind}")
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    files = {file for file in files if "dist-info" not in file and "__pycache__" not in file}
    test = f"tests/test_own_{kind}.py"
    assert files == {"pyproject.toml", "README.md", f"simssl_own_{kind}.py", "experiment.yaml", test}
    assert (folder / test).read_text().count("\n") == 3
    assert not any("$" in (folder / file).read_text().replace(f"{SCHEMA}\n", "") for file in files)
    shown = simssl("show", kind, f"own_{kind}")
    assert shown.stdout.startswith(f"{kind} own_{kind}, of simssl-own-{kind.replace('_', '-')} 0.1.0")
    assert simssl("check", folder / "experiment.yaml").exit_code == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Barlow-Twins", "such as 'barlow_twins'"),
        ("BarlowTwins", "such as 'barlow_twins'"),
        ("2nd_try", "such as 'nd_try'"),
        ("_x", "such as 'x'"),
        ("a__b", "such as 'a_b'"),
        ("../x", "such as 'x'"),
        ("größe", "cannot be a plugin's name"),
        ("", "'' cannot be a plugin's name"),
        ("null", "is a word in YAML"),
        ("simclr", "objective 'simclr' is provided by simssl 0"),
        ("plugins", "its module would be called simssl_plugins, which is one already"),
    ],
)
def test_names_are_checked(name: str, sentence: str, simssl: Command) -> None:
    result = simssl("new", "objective", name, "folder")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("folder").exists()


def test_a_distribution_that_is_installed_is_not_replaced(simssl: Command, package: Callable[..., Path]) -> None:
    package("simssl-spread", "another_module", "", evaluator="something_else")
    result = simssl("new", "evaluator", "spread", "folder")
    assert result.exit_code == 2
    assert "simssl-spread 1.0 is installed; choose another name" in result.stderr


def test_what_exists_is_left_alone(simssl: Command) -> None:
    Path("empty").mkdir()
    Path("file").write_text("mine")
    for folder in ("empty", "file", "file/below"):
        result = simssl("new", "tracker", "my_tracker", folder)
        assert result.exit_code == 2
        assert "\n" not in result.stderr.strip()
    assert not any(Path("empty").iterdir())
    assert Path("file").read_text() == "mine"


def test_the_next_steps_are_said(simssl: Command) -> None:
    result = simssl("new", "tracker", "my_tracker", "deep/a folder")
    assert "cd 'deep/a folder'" in result.stdout
    assert Path("deep/a folder/pyproject.toml").exists()


@pytest.mark.parametrize(
    ("version", "requirement"), [("0.1.0", ">=0.1,<0.2"), ("0.12.3", ">=0.12,<0.13"), ("2.3.1", ">=2.3,<3")]
)
def test_the_requirement_is_by_semantic_versioning(version: str, requirement: str) -> None:
    assert _requirement(version) == requirement
