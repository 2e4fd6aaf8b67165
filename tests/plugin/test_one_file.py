"""A plugin that is one file: `--plugin` names it, the run's record does, and nothing finds it by itself."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

import simssl as package_of_ours
from simssl.errors import UserError
from simssl.plugin.registry import KINDS, Registry
from simssl.scaffold import _template

Command = Callable[..., Result]
Write = Callable[..., Path]

PIXELS = """
import simssl
from simssl.api import Objective, Posterior

class Pixels(Objective):
    '''The first pixels.'''
    trained = False

    class Params(simssl.Params):
        first: int = 0
        "The first of them."

    def posterior(self, x_BCHW):
        return Posterior(x_BCHW.flatten(1)[:, self.params.first :][:, : self.context.latent_dim])

@simssl.hookimpl
def simssl_objective():
    return Pixels
"""


@pytest.fixture
def pixels(tmp_path: Path) -> Path:
    file = tmp_path / "pixels.py"
    file.write_text(PIXELS)
    return file


def test_a_run_names_the_file_that_made_it(simssl: Command, small: Write, pixels: Path) -> None:
    experiment = small(objective={"name": "pixels", "first": 3})
    alone = simssl("run", experiment)
    assert alone.exit_code == 2
    assert "no objective is called 'pixels'" in alone.stderr
    result = simssl("run", "--plugin", "./pixels.py", experiment)
    assert result.exit_code == 0, result.stderr
    (run,) = Path("runs/small").iterdir()
    made_with = json.loads((run / "environment.json").read_text())["training"]
    sha256 = hashlib.sha256(pixels.read_bytes()).hexdigest()
    assert made_with["plugin_files"] == {"objective pixels": {"path": str(pixels), "sha256": sha256}}
    assert sha256[:12] in made_with["plugins"]["objective pixels"]
    with pytest.raises(UserError, match="give --plugin"):
        package_of_ours.load(run)
    assert package_of_ours.load(run, plugins=[pixels]).experiment.objective.name == "pixels"
    assert package_of_ours.load(run, plugins=["pixels.py"]).experiment.objective.name == "pixels"

    for words in (("evaluate", run, "-e", "gmm"), ("encode", run, "digits", "-o", "out.npz")):
        without = simssl(*words)
        assert without.exit_code == 2
        assert f"'pixels' was the file {pixels} when the run was made; give --plugin {pixels}" in without.stderr
        with_it = simssl(*words, "--plugin", pixels)
        assert with_it.exit_code == 0, with_it.stderr
        assert "is not what" not in with_it.stderr
    assert simssl("report", experiment, "--plugin", pixels).exit_code == 0
    assert simssl("report", run).exit_code == 0
    with pytest.raises(UserError, match="give --plugin"):
        package_of_ours.load(run)
    model = package_of_ours.load(run, registry=Registry(files=(pixels,)))
    assert model.experiment.objective.name == "pixels"


def test_a_file_that_has_changed_since_is_told(simssl: Command, small: Write, pixels: Path) -> None:
    words = ("run", "--plugin", pixels, small(objective={"name": "pixels"}))
    assert simssl(*words).exit_code == 0
    assert "is not what" not in simssl(*words).stderr
    pixels.write_text(PIXELS + "\n# another\n")
    (run,) = Path("runs/small").iterdir()
    for again in (words, ("evaluate", run, "--plugin", pixels)):
        told = simssl(*again).stderr
        assert told.count(f"objective 'pixels' is not what runs/small/{run.name} was made with: then {pixels}") == 1
        assert "--fresh` starts again with it" in told
    assert "is not what" not in simssl(*words, "--fresh").stderr
    assert "is not what" not in simssl(*words).stderr


def test_an_installed_module_that_has_changed_since_is_told(
    simssl: Command, small: Write, package: Callable[..., Path]
) -> None:
    module = package("pixels-dist", "pixels_module", PIXELS, objective="pixels") / "pixels_module.py"
    words = ("run", small(objective={"name": "pixels"}))
    assert simssl(*words).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    made_with = json.loads((run / "environment.json").read_text())["training"]
    sha256 = hashlib.sha256(module.read_bytes()).hexdigest()
    assert made_with["plugin_modules"] == {"objective pixels": {"path": str(module), "sha256": sha256}}
    assert "is not what" not in simssl(*words).stderr
    module.write_text(PIXELS + "\n# another\n")
    del sys.modules["pixels_module"]  # as another process would begin
    for again in (words, ("evaluate", run)):
        told = simssl(*again).stderr
        assert told.count(f"objective 'pixels' is not what runs/small/{run.name} was made with: then {module}") == 1
        assert f"now {module} (SHA-256 " in told
        assert "--fresh` starts again with it" in told
    assert "is not what" not in simssl(*words, "--fresh").stderr
    assert "is not what" not in simssl(*words).stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_is_that_of_the_hook(kind: str, simssl: Command, small: Write) -> None:
    Path("own.py").write_text(_template(f"{kind}.py"))
    assert "own" not in simssl("plugins").stdout
    rows = json.loads(simssl("plugins", "--check", "--json", "--plugin", "own.py").stdout)
    (row,) = (row for row in rows if row["name"] == "own")
    assert (row["kind"], row["module"], row["status"]) == (kind, str(Path("own.py").resolve()), "ok")
    assert simssl("show", kind, "own", "--plugin", "own.py").stdout.startswith(f"{kind} own, of {Path.cwd()}/own.py")
    section = (
        {kind: {"name": "own"}} if kind in ("dataset", "backbone", "objective") else {f"{kind}s": [{"name": "own"}]}
    )
    assert simssl("--no-plugins", "check", "--plugin", "own.py", small(**section)).exit_code == 0


def test_a_file_may_have_hooks_of_several_kinds(simssl: Command) -> None:
    Path("both.py").write_text(_template("evaluator.py") + _template("tracker.py"))
    lines = simssl("plugins", "--plugin", "both.py").stdout.splitlines()
    assert [line.split()[:2] for line in lines if "both" in line] == [["evaluator", "both"], ["tracker", "both"]]


def test_an_evaluator_of_a_file_measures_a_run_of_ours(simssl: Command, small: Write) -> None:
    assert simssl("run", small()).exit_code == 0
    Path("rank.py").write_text(_template("evaluator.py"))
    (run,) = Path("runs/small").iterdir()
    result = simssl("evaluate", run, "-e", "{name: rank, epsilon: 1.0e-9}", "--plugin", "rank.py")
    assert result.exit_code == 0, result.stderr
    assert "rank/rank" in json.loads((run / "metrics.json").read_text())["metrics"]
    assert simssl("evaluate", run).exit_code == 0


WRONG = {
    "missing.py": (None, "missing.py cannot be read: No such file"),
    "notes.txt": ("", "notes.txt names no Python file"),
    "empty.py": ("", "has no hook: define one of simssl_dataset(), simssl_backbone(), simssl_objective()"),
    "failing.py": ("import torch\n\ntorch.zeros(3).view(2)", "failing.py:3)"),
    "misspelt.py": ("def f(:\n", "running it raised SyntaxError: invalid syntax"),
    "exiting.py": ("raise SystemExit(3)", "running it raised SystemExit: 3"),
    "simvae.py": (PIXELS, "simvae.py would be objective 'simvae', which simssl 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_is_said_in_a_sentence(name: str, simssl: Command, small: Write) -> None:
    content, sentence = WRONG[name]
    if content is not None:
        Path(name).write_text(content)
    experiment = small(objective={"name": Path(name).stem})
    for words in (("check", experiment), ("plugins",)):
        result = simssl(*words, "--plugin", name)
        assert result.exit_code == 2
        assert sentence in result.stderr
        assert result.stderr.count("\n") == 1
        assert "small.yaml" not in result.stderr
        assert "Traceback" not in result.stderr


def test_two_files_of_one_name_are_refused_and_one_named_twice_is_not(simssl: Command, pixels: Path) -> None:
    other = pixels.parent / "other" / "pixels.py"
    other.parent.mkdir()
    other.write_text(PIXELS)
    assert "rename the file" in simssl("plugins", "--plugin", pixels, "--plugin", other).stderr
    assert simssl("plugins", "--plugin", pixels, "--plugin", "pixels.py").exit_code == 0


def test_what_the_hook_returns_is_checked_as_in_a_package(simssl: Command, small: Write, pixels: Path) -> None:
    pixels.write_text(PIXELS.replace("return Pixels\n", "return 3\n"))
    result = simssl("check", small(objective={"name": "pixels"}), "--plugin", pixels)
    assert result.exit_code == 2
    assert "simssl_objective() returned 3 of type int, not a subclass of Objective" in result.stderr
    line = next(i for i, text in enumerate(PIXELS.splitlines(), 1) if "hookimpl" in text)
    assert f"{pixels}:{line}" in result.stderr
