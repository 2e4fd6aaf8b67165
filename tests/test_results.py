"""Tables and figures of docs/tables.md and docs/results.md that come from archives are what their commands make."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import Result
from fake_runs import metric, write_run

from simssl.report.figure import DifferenceFigure, DifferencePanel

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "results.md", ROOT / "docs" / "tables.md"]
TEXT = "\n".join(page.read_text() for page in PAGES)
ARCHIVES = sorted((ROOT / "docs" / "results").glob("*.csv"))
COMMANDS = re.findall(r"^simssl report docs/results/.*--format md.*$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line.split()[2])
def test_the_table_is_rebuilt_to_the_byte(
    line: str, simssl: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    result = simssl(*shlex.split(line)[1:])
    assert result.exit_code == 0, result.stderr
    _, _, after = TEXT.partition(f"{line}\n```\n\n")
    assert after.startswith(result.stdout)


def test_every_archive_has_a_table() -> None:
    assert ARCHIVES
    shown = {shlex.split(line)[2] for line in COMMANDS}
    assert shown == {str(path.relative_to(ROOT)) for path in ARCHIVES}


@pytest.fixture
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_figures", ROOT / "docs" / "figures.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_figures_are_those_of_the_archives_to_the_byte(figures: ModuleType) -> None:
    made = dict(figures.files())
    assert set(made) == set((ROOT / "docs" / "images").glob("results-*.svg")), "run: python docs/figures.py"
    for path, text in made.items():
        assert path.read_text() == text, "run: python docs/figures.py"


@pytest.fixture
def elsewhere(
    figures: ModuleType, simssl: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two figures of a small archive, in a folder of their own."""
    for name in ("vae", "simvae"):
        for seed in (0, 1):
            metrics = {"knn/a": metric(0.5 + seed / 8)}
            write_run(tmp_path / f"{name}{seed}", metrics, objective={"name": name}, seed=seed)
    assert simssl("report", tmp_path, "--archive", "a.csv").exit_code == 0
    panels = [DifferencePanel("content", "knn/a")]
    one = DifferenceFigure("one", "One", ["a.csv"], panels, ours="simvae", theirs="vae", over="latent_dim")
    monkeypatch.setattr(figures, "ROOT", tmp_path)
    monkeypatch.setattr(figures, "IMAGES", tmp_path)
    monkeypatch.setattr(figures, "FIGURES", [one, replace(one, name="two")])
    return tmp_path


def test_one_command_makes_the_figures(
    figures: ModuleType, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert figures.main(["two"]) == 0
    assert capsys.readouterr().out == "results-two.svg\n"
    assert not (elsewhere / "results-one.svg").exists()
    assert figures.main([]) == 0
    assert capsys.readouterr().out == "results-one.svg\nresults-two.svg\n"
    assert {path: path.read_text() for path in elsewhere.glob("*.svg")} == dict(figures.files())
    assert "over 2 seeds" in (elsewhere / "results-one.svg").read_text()


def test_the_command_says_what_is_wrong(
    figures: ModuleType, elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert figures.main(["three"]) == 2
    assert capsys.readouterr().err == "no figure is called 'three'\n"
    (elsewhere / "a.csv").write_text("a,b\n")
    assert figures.main([]) == 1
    assert "a.csv is no archive of runs" in capsys.readouterr().err
    assert not list(elsewhere.glob("*.svg"))
