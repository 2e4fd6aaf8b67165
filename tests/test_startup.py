"""Listing and help load nothing heavy, with fifty plugins of others installed, too."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "numpy", "sklearn", "pydantic", "yaml", "rich", "simssl_plugins")
BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "startup.py"
PLUGINS = 50


def loaded(words: list[str], path: Path | None = None) -> tuple[str, list[str]]:
    """Return what a command prints, and the heavy modules and plugins on `path` that it has imported."""
    code = (
        "import sys\n"
        "from simssl.cli import cli\n"
        f"try: cli({words!r}, prog_name='simssl')\n"
        "except SystemExit: pass\n"
        f"print('LOADED', *(m for m in sys.modules if m in {HEAVY!r} or m.startswith('stranger')))\n"
    )
    there = os.environ.get("PYTHONPATH")
    environment = os.environ | ({"PYTHONPATH": os.pathsep.join(filter(None, (str(path), there)))} if path else {})
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    *printed, last = result.stdout.splitlines()
    return "\n".join(printed), last.split()[1:]


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["plugins"],
        ["run", "--help"],
        ["encode", "--help"],
        ["status", "--help"],
        ["--version"],
        ["plugins", "--json"],
    ],
)
def test_start_up_does_not_import(words: list[str]) -> None:
    assert loaded(words)[1] == []


@pytest.mark.parametrize("words", [["status", "quickstart.yaml"], ["status", "runs"]])
def test_the_status_of_runs_loads_no_torch(words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    experiment = BENCHMARK.parents[1] / "experiments" / "quickstart.yaml"
    Path("quickstart.yaml").write_bytes(experiment.read_bytes())
    Path("runs/quickstart/simvae-seed0-00000000").mkdir(parents=True)
    Path("runs/quickstart/simvae-seed0-00000000/.lock").touch()
    printed, modules = loaded(words)
    assert "waiting" in printed
    assert not {"torch", "torchvision", "numpy", "sklearn", "rich", "simssl_plugins"} & set(modules)


@pytest.mark.parametrize("words", [["--help"], ["plugins"], ["plugins", "--json"], ["plugins", "stranger7"]])
def test_start_up_with_fifty_plugins_imports_none_of_them(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each would fail if it were imported. What it takes is measured by the benchmark that has installed them."""
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))
    runpy.run_path(str(BENCHMARK))["install"](tmp_path, PLUGINS)
    printed, modules = loaded(words, tmp_path)
    assert modules == []
    if words[0] == "plugins":
        assert printed.count("stranger7") > 1  # its name, distribution and module
        assert "BROKEN" not in printed
    if words == ["plugins"]:
        assert sum("stranger" in line for line in printed.splitlines()) == PLUGINS


def test_a_wrong_file_is_told_without_torch(tmp_path: object) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from simssl.experiment.config import load_experiments\n"
        "from simssl.plugin.registry import Registry\n"
        f"file = Path({str(tmp_path)!r}) / 'e.yaml'; file.write_text('nme: x')\n"
        "try: load_experiments(file, Registry())\n"
        "except Exception as error: print(error)\n"
        "print('torch' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "did you mean 'name'?" in result.stdout
    assert result.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(("before", "after"), [(None, ":4096:8"), (":16:8", ":16:8"), (":0:0", ":0:0")])
def test_the_package_sets_the_workspace_of_cublas_before_torch_is_loaded(before: str | None, after: str) -> None:
    """torch reads it once, at the first product on CUDA. A value of the user's own stays."""
    environment = {name: value for name, value in os.environ.items() if name != "CUBLAS_WORKSPACE_CONFIG"}
    if before is not None:
        environment["CUBLAS_WORKSPACE_CONFIG"] = before
    code = "import os, sys, simssl; print(os.environ['CUBLAS_WORKSPACE_CONFIG'], 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.split() == [after, "False"]


def test_numerics_without_determinism_do_not_import_torchs_compiler() -> None:
    """The compiler takes as long to import as torch itself."""
    code = (
        "import sys\n"
        "from simssl.testing.fixtures import tiny_experiment\n"
        "from simssl.training.build import prepare_numerics\n"
        "prepare_numerics(tiny_experiment())\n"
        "print('torch' in sys.modules, 'torch._dynamo' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "False"]
