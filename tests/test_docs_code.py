"""Every code block of the documentation: Python and commands are run, experiments are checked.

A block's language says what is done with it. `text` is what was printed, and what installs, serves or copies is listed
in `NOT_RUN`: these are not run. What trains is run with few views, or listed in `CHECKED_ONLY`. Anything else fails.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from itertools import dropwhile
from pathlib import Path

import click
import pytest
import torch
from click.testing import CliRunner, Result
from hooks import example
from pages import PAGES, ROOT, Block, blocks, grown
from PIL import Image
from small_run import SMALL

from simssl.blocks.text import to_text
from simssl.cli import cli
from simssl.experiment.config import load_experiments
from simssl.experiment.yaml12 import dump, read
from simssl.plugin.plugin import group
from simssl.plugin.registry import KINDS, Registry
from simssl.testing import outcomes

DOCS = ROOT / "docs"
EVERY = [block for page in PAGES for block in blocks(page)]
COMMANDS = [
    pytest.param(block.page, line, id=f"{block}-{line.split('#')[0].strip()}"[:90])
    for block in EVERY
    if block.language == "sh"
    for line in block.code.splitlines()
]
NOT_RUN = ("cd", "cp", "npm", "pytest", "ruff", "sphinx-build", "tensorboard", "torchrun", "tox")
"""Programs that install, serve, or test what is tested here."""

CHECKED_ONLY = {
    "experiments/": "minutes to days, and data from elsewhere; tests/test_experiments.py is about them",
    "others.yaml": "a comparison of fifteen runs, of methods that are each run by tests of their own",
}
"""Experiments whose `simssl run` is only checked, with all of its settings, and why."""
NOT_CHECKED = ("--device", "--data", "--runs", "--jobs", "--only", "--cluster", "--cluster-option", "--gpus-per-run")
"""Options of `simssl run` that `simssl check` has not. Each has a value."""
FEW = 1200
"""Views that the others are trained on: ten steps of 120."""

SIMSIAM = [block.code for block in blocks(DOCS / "writing-an-objective.md", "python")]
STEPS = [code for code in SIMSIAM if "class SimSiam" in code]
(DESCRIBED,) = [code for code in SIMSIAM if "class Described" in code]
(CLOCKS,) = [block.code for block in blocks(DOCS / "writing-a-dataset.md", "python") if "class Clocks" in block.code]
OWN = {
    "dataset": ("stripes", example("dataset")),
    "backbone": ("linear", example("backbone")),
    "evaluator": ("effective_rank", example("evaluator")),
    "tracker": ("json_lines", example("tracker")),
    "objective": ("my_simsiam", grown(STEPS)),
    "data with groups": ("clocks", CLOCKS),
    "objective of captions": ("described", DESCRIBED),
}
"""The plugins that the pages write, as single files."""


def test_every_block_has_a_language_that_is_tested() -> None:
    assert {block.language for block in EVERY} <= {"python", "yaml", "toml", "sh", "text"}
    untested = {block.page.name for block in EVERY if block.language == "python"} - PYTHON.keys()
    assert not untested, "say in PYTHON how its blocks are run"


# --- Python ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_example_of_each_hook_is_a_plugin_that_passes(
    kind: str, package: Callable[..., Path], small: Callable[..., Path], simssl: Callable[..., Result]
) -> None:
    """It loads, passes its conformance checks, and runs in an experiment."""
    package("example-dist", f"example_{kind}", example(kind), **{kind: "example"})
    passes(kind, "example", small, simssl)


def passes(kind: str, name: str, small: Callable[..., Path], simssl: Callable[..., Result]) -> None:
    failed = [one for one in outcomes(kind, Registry().load(kind, name)) if one.status not in ("ok", "skipped")]
    assert failed == []
    choice = {"name": name}
    part = {kind: choice} if kind in ("dataset", "backbone", "objective") else {f"{kind}s": [choice]}
    result = simssl("run", small(**part))
    assert result.exit_code == 0, result.stderr
    assert "detached" not in result.stderr


@pytest.fixture
def forget_simsiam() -> Iterator[None]:
    """The module of one step is not that of the next."""
    yield
    sys.modules.pop("simssl_my_simsiam", None)


@pytest.mark.usefixtures("forget_simsiam")
@pytest.mark.parametrize("step", range(1, len(STEPS) + 1))
def test_each_step_of_the_objective_is_an_objective(
    step: int, package: Callable[..., Path], small: Callable[..., Path], simssl: Callable[..., Result]
) -> None:
    package("simssl-my-simsiam", "simssl_my_simsiam", grown(STEPS[:step]), objective="my_simsiam")
    passes("objective", "my_simsiam", small, simssl)
    if step == len(STEPS):
        shown = simssl("show", "objective", "my_simsiam").stdout
        assert "predictor: integer ≥ 1, default 64" in shown
        given, tests = (code for code in SIMSIAM if "class SimSiam" not in code and code != DESCRIBED)
        is_of("simssl-my-simsiam", given)
        space: dict[str, Callable[[], None]] = {}
        exec(tests, space)
        written = [test for name, test in space.items() if name.startswith("test_")]
        assert len(written) == 2
        for test in written:
            test()


def test_the_objective_of_captions_is_an_objective(
    package: Callable[..., Path], small: Callable[..., Path], simssl: Callable[..., Result]
) -> None:
    package("described-dist", "described", DESCRIBED, objective="described")
    captions = {
        "dataset": {"name": "digits", "captions": True},
        "modalities": {"caption": {"backbone": {"name": "text_transformer", "width": 8, "layers": 1}}},
    }
    passes("objective", "described", lambda **part: small(**captions, **part), simssl)


def is_of(distribution: str, code: str) -> None:
    """The three lines of a package's test file give cases for its plugin."""
    space: dict[str, Callable[..., None]] = {}
    exec(code, space)
    (cases,) = [mark.args[1] for mark in space["test_conformance"].pytestmark]  # type: ignore[attr-defined]
    assert {plugin.distribution for plugin, _ in cases} == {distribution}


def test_a_data_set_says_groups_factors_and_a_modality(
    package: Callable[..., Path], small: Callable[..., Path], simssl: Callable[..., Result]
) -> None:
    package("clocks-dist", "clocks", CLOCKS, dataset="clocks")
    passes("dataset", "clocks", small, simssl)
    plugin = Registry().load("dataset", "clocks")
    train = plugin(plugin.Params()).load(Path(), lambda *_: None).train
    assert set(train.group.bincount().tolist()) == {8}
    assert train.targets["time"].period == 12
    tokens_NL = train.modalities["caption"].values
    vocabulary = train.modalities["caption"].vocabulary
    for i in range(16):
        hand, time = (train.targets[name].values[i].item() for name in ("hand", "time"))
        said = f"a {('thin', 'thick')[hand]} hand at {int(time)} o'clock"
        assert to_text(tokens_NL[i], vocabulary) == said


def test_three_lines_test_a_package(package: Callable[..., Path]) -> None:
    of_tests = [block for block in EVERY if "= conformance(" in block.code and "simsiam" not in block.code]
    assert len(of_tests) == 5
    for number, block in enumerate(of_tests):
        (distribution,) = re.findall(r'conformance\("(.*?)"\)', block.code)
        package(distribution, f"of_page_{number}", example("tracker"), tracker=f"of_page_{number}")
        is_of(distribution, block.code)


def test_the_identities_of_the_theory_hold() -> None:
    (block,) = blocks(DOCS / "theory.md", "python")
    torch.manual_seed(0)
    exec(block.code, {})


def test_the_example_of_a_trained_run_works(
    simssl: Callable[..., Result], small: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """With a run that is moved to where the page has it, and pictures of the names in it."""
    (block,) = blocks(DOCS / "trained-run.md", "python")
    assert simssl("run", small(latent_dim=10)).exit_code == 0
    (folder,) = re.findall(r'simssl\.load\("(.*?)"\)', block.code)
    Path(folder).parent.mkdir(parents=True)
    next(Path("runs/small").iterdir()).rename(folder)
    for name in re.findall(r'"(\w+\.(?:png|jpg))"', block.code):
        Image.new("RGB", (40, 30), "grey").save(name)
    exec(block.code, {})
    assert capsys.readouterr().out.splitlines() == [
        "torch.Size([2, 10]) torch.Size([2, 10])",
        "torch.Size([2, 1, 8, 8]) torch.Size([16, 1, 8, 8])",
    ]


PYTHON = {
    "writing-an-objective.md": test_each_step_of_the_objective_is_an_objective,
    "theory.md": test_the_identities_of_the_theory_hold,
    "trained-run.md": test_the_example_of_a_trained_run_works,
    "testing.md": test_three_lines_test_a_package,  # and tests/testing/test_docs_of_checks.py
} | {f"writing-a{n}-{kind}.md": test_example_of_each_hook_is_a_plugin_that_passes for kind in KINDS for n in ("", "n")}
"""Which test runs a page's blocks."""


# --- experiments and tables ------------------------------------------------------------------------------


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """The built-in plugins, and those that the pages write."""
    for name, code in OWN.values():
        (tmp_path / f"{name}.py").write_text(code)
    return Registry(builtins_only=True, files=tuple(tmp_path / f"{name}.py" for name, _ in OWN.values()))


@pytest.mark.parametrize("block", [block for block in EVERY if block.language == "yaml"], ids=str)
def test_experiments_in_the_pages_are_right(block: Block, registry: Registry, tmp_path: Path) -> None:
    """Whole ones as they are; parts instead of the same keys of a small one."""
    file = tmp_path / "experiment.yaml"
    file.write_text(block.code)
    part = read(file).tree
    if "name" not in part:
        file.write_text(dump({**SMALL, **part}))
    assert load_experiments(file, registry)


@pytest.mark.parametrize("block", [block for block in EVERY if block.language == "toml"], ids=str)
def test_entry_points_in_the_pages_are_of_a_kind(block: Block) -> None:
    points = tomllib.loads(block.code)["project"]["entry-points"]
    assert points.keys() <= {group(kind) for kind in KINDS}


# --- commands --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which the pages' commands find what they name: runs, small ones, experiments, files, pictures."""
    folder = tmp_path_factory.mktemp("world")
    before = Path.cwd()
    os.chdir(folder)
    shutil.copytree(ROOT / "experiments", "experiments")
    for name, code in OWN.values():
        Path(f"{name}.py").write_text(code)
    Path("my_objective.py").write_text(example("objective"))
    quick = {"mlp_probe": {"epochs": 1}, "style_probe": {"images": 100}, "decoder": {"epochs": 1}}
    evaluators = [{"name": name, **quick.get(name, {})} for name in ("knn", "reconstruction", *quick)]
    methods = {"objective": [{"name": "simvae", "J": 3}, {"name": "simclr"}]}
    Path("small.yaml").write_text(dump({**SMALL, "name": "quickstart", "evaluators": evaluators, "grid": methods}))
    ran = simssl("run", "small.yaml")
    assert ran.exit_code == 0, ran.stderr
    for name in ("celeba-style", "mnist-content", "fashion-mnist-content", "shapes-factors", "style-over-time"):
        shutil.copytree("runs/quickstart", f"runs/{name}")
    (trained,) = Path("runs/quickstart").glob("simvae-*")
    for name in set(re.findall(r"runs/quickstart/[\w-]+", "".join(block.code for block in EVERY))):
        shutil.copytree(trained, name)
    shutil.copytree(trained, "RUN_DIR")
    shutil.copytree(ROOT / "docs" / "results", "docs/results")
    assert simssl("report", "runs/quickstart", "--archive", "runs.csv").exit_code == 0
    Path("photos").mkdir()
    Image.new("L", (8, 8)).save("photos/dark.png")
    yield folder
    os.chdir(before)


def is_assignment(word: str) -> bool:
    return re.match(r"[A-Z_]+=", word) is not None


def simssl(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words), prog_name="simssl")


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_commands_are_right(
    page: Path, line: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the page has them, on small runs and data; what trains, on few views, and what is in CHECKED_ONLY not."""
    monkeypatch.chdir(world)
    experiments = [block.code for block in blocks(page, "yaml") if re.search("^name:", block.code, re.M)]
    for name, text in zip(("experiment.yaml", "others.yaml"), [*experiments, dump(SMALL)], strict=False):
        Path(name).write_text(text)
    for text in experiments:
        (own_name,) = re.findall("^name: *(.*)", text, re.M)
        Path(f"{own_name}.yaml").write_text(text)
    monkeypatch.delenv("SIMSSL_DATA", raising=False)
    words = list(dropwhile(is_assignment, shlex.split(line, comments=True)))
    if not words or words[0] in NOT_RUN:
        return
    if words[0] == "python":
        assert words[1:4] == ["-m", "pip", "install"] or (ROOT / words[1]).exists(), line
        return
    assert words[0] == "simssl", f"{line} is neither simssl's nor in NOT_RUN"
    trains = words[1] == "run" and not any(word.startswith(tuple(CHECKED_ONLY)) for word in words)
    if trains:
        (experiment,) = [Path(word) for word in words if word.endswith(".yaml")]
        words += [*few_views(experiment), "--runs", str(tmp_path)]
    elif words[1] == "run":
        cli.commands["run"].make_context("run", words[2:], parent=click.Context(cli, obj=Registry()))
        words = ["simssl", "check", *without(words[2:], "--fresh", *NOT_CHECKED)]
    for written in Path().glob("*.npz"):
        written.unlink()
    if "my_objective" in words and "--plugin" not in words:
        words += ["--plugin", "./my_objective.py"]  # stands in for one that is installed
    result = simssl(*words[1:])
    assert result.exit_code == 0, f"{line}: {result.stderr}{result.stdout}"
    if trains:
        assert list(tmp_path.glob("*/*")), f"{line} trained nothing"


def few_views(experiment: Path) -> list[str]:
    """Return the settings that make it a short run, whichever key gives its budget."""
    training = {**read(experiment).tree["training"], "views": FEW}
    training.pop("epochs", None)
    return ["-s", f"training={json.dumps(training)}"]


def test_the_steps_of_the_objective_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one folder, as a reader does: the method instead of the twenty lines is trained only with --fresh."""
    monkeypatch.chdir(tmp_path)
    page = DOCS / "writing-an-objective.md"
    Path("experiment.yaml").write_text(blocks(page, "yaml")[0].code)
    lines = [line for block in blocks(page, "sh") for line in block.code.splitlines()]
    first, again = [shlex.split(line)[1:] for line in lines if re.match("simssl run .*experiment.yaml", line)]
    short = ["-s", f"training.views={FEW}"]
    Path("my_simsiam.py").write_text(grown(STEPS[:1]))
    assert simssl(*first, *short).exit_code == 0
    Path("my_simsiam.py").write_text(grown(STEPS[:2]))
    assert "is done already" in simssl(*first, *short).stderr
    result = simssl(*again, *short)
    assert result.exit_code == 0, result.stderr
    assert "is done already" not in result.stderr


def without(words: list[str], *options: str) -> list[str]:
    """Return the words but for some options, each with its value if it has one."""
    kept = []
    words = list(words)
    while words:
        word = words.pop(0)
        if word not in options:
            kept.append(word)
        elif word != "--fresh":
            words.pop(0)
    return kept


def test_what_the_first_run_prints_is_what_the_page_says(world: Path) -> None:
    commands, *_ = blocks(DOCS / "first-run.md", "sh")
    (printed,) = blocks(DOCS / "first-run.md", "text")
    (line,) = [line for line in commands.code.splitlines() if line.startswith("simssl check")]
    assert simssl(*line.split()[1:]).stdout == printed.code


EXPERIMENTS = sorted((ROOT / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("source", EXPERIMENTS, ids=lambda path: path.name)
def test_runs_that_an_experiment_suggests_can_be_pasted(source: Path, world: Path) -> None:
    for line in source.read_text().splitlines():
        suggested = re.fullmatch(r"# *(simssl run experiments/.*)", line)
        if suggested:
            command = re.sub(r" --jobs \d+", "", suggested[1])  # the one option that `check` has not
            words = shlex.split(command, comments=True)
            result = simssl("check", *words[2:])
            assert result.exit_code == 0, f"{line}: {result.stderr}"
