"""The experiments of the release's faults: each row is one change, they run, and their rows are told apart."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from simssl.cli import cli
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Experiment
from simssl.experiment.schema import MODELINE
from simssl.plugin.registry import Registry

ROOT = Path(__file__).parents[2]
FOLDER = Path("experiments") / "release"
FAULTS = ROOT / FOLDER / "faults.py"
README = ROOT / FOLDER / "README.md"
FILES = sorted((ROOT / FOLDER).glob("*.yaml"))
REGISTRY = Registry(builtins_only=True, files=(FAULTS,))

SMALL = {
    "mnist": ["training.views=480", "training.batch_views=20", "backbone={name: mlp, hidden: [16]}"],
    "cifar10": ["training.views=480", "training.batch_views=24", "backbone={name: convnet, widths: [4]}"],
    "half_resnet": ["training.views=8", "training.batch_views=8"],
}
"""What makes runs of a file small, with data of which there are a few images alone."""
QUICK = (
    "evaluators=[{name: knn, k: 3}, {name: faults, as: of_release, k: [1, 3], select: test}, {name: reconstruction}]"
)


Command = Callable[..., Result]


def by_name(file: Path) -> str:
    return file.stem


# --- the files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_experiment_is_right(file: Path) -> None:
    runs = load_experiments(file, REGISTRY)
    assert {run.name for run in runs} == {f"release-{file.stem.replace('_', '-')}"}
    assert {run.seed for run in runs} == {0, 1, 2}
    assert len({(run.training.views, run.training.batch_views) for run in runs}) == 1
    schema, about, *_ = file.read_text().splitlines()
    assert schema == MODELINE.format("simssl.schema.json")
    assert about.startswith("# ")


def setting(run: Experiment) -> dict[str, object]:
    """What the faults are about; an objective of the name `faults` without one is the built-in objective."""
    params = run.objective.params
    return {
        "method": "vae" if getattr(params, "J", 1) == 1 else "simvae",
        "J": getattr(params, "J", 1),
        "entropy": getattr(params, "entropy", "right"),
        "likelihood": getattr(params, "likelihood", "gaussian"),
        "threshold": run.views.finish.threshold,
        "flip": run.views.vertical_flip,
        "backbone": str(run.backbone.resolved),
    }


def changes(one: dict[str, object], other: dict[str, object]) -> int:
    return sum(one[key] != other[key] for key in one)


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_every_fault_is_one_change_against_another_row(file: Path) -> None:
    """Those of a method, from its first row on; all faults at once are the one exception."""
    settings = [setting(run) for run in load_experiments(file, REGISTRY, seed=0)]
    everything = [s for s in settings if s["entropy"] == "two_pi" and s["flip"]]
    assert len(everything) == (0 if file.stem == "half_resnet" else 2)
    for method in ("vae", "simvae"):
        rows = [s for s in settings if s["method"] == method and s not in everything]
        assert len(rows) > 2
        reached = rows[:1]
        for _ in rows:
            reached += [s for s in rows if s not in reached and any(changes(s, other) == 1 for other in reached)]
        assert len(reached) == len(rows)


def test_the_vae_and_simvae_have_the_same_faults() -> None:
    """But for J, of which a VAE has none."""
    for file in FILES:
        rows = {"vae": set(), "simvae": set()}
        for run in load_experiments(file, REGISTRY, seed=0):
            s = setting(run)
            rows[str(s["method"])].add(tuple(s[key] for key in s if key not in ("method", "J")))
        assert rows["vae"] == rows["simvae"], file


# --- small runs ---------------------------------------------------------------------------------------------


@pytest.fixture
def world(simssl: Command, tmp_path: Path) -> None:
    """The folder of the command has `experiments`, and a few images of each data set."""
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    for name in ("mnist", "cifar10"):
        REGISTRY.load("dataset", name).example(tmp_path / "data")


@pytest.mark.parametrize("file", FILES, ids=by_name)
def test_all_of_it_runs_and_its_rows_are_told_apart(file: Path, simssl: Command, world: None) -> None:
    dataset = "mnist" if file.stem == "mnist" else "cifar10"
    settings = [*SMALL[file.stem], f"dataset={{name: {dataset}}}", "trackers=[]", QUICK]
    if file.stem == "half_resnet":
        settings.append("grid.backbone=[{name: faults}, {name: faults, decoder_skips: half}]")
    options = ["--plugin", FAULTS]
    for text in settings:
        options += ["-s", text]
    ran = simssl("run", FOLDER / file.name, "--seed", 0, *options)
    assert ran.exit_code == 0, ran.stderr
    runs = list(Path("runs").glob("*/*/metrics.json"))
    told = simssl("report", *{run.parent.parent for run in runs}, "--format", "md").stdout
    table = [line for line in told.splitlines() if line.startswith("|")]
    names = [line.split("|")[1].strip() for line in table[2:]]
    assert len(names) == len(set(names)) == len(runs) > 3
    if file.stem != "half_resnet":
        assert sum("entropy=two_pi" in name for name in names) == 4
        assert sum("likelihood=divided_bernoulli" in name for name in names) >= 2
        assert sum("views.vertical_flip=0.5" in name for name in names) == 4


# --- what the texts say -------------------------------------------------------------------------------------


def commands(text: str) -> list[list[str]]:
    """The lines that begin with `simssl`, in comments and in blocks of code, without that word."""
    lines = re.findall(r"^#? *simssl (.*)$", text, re.M)
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("file", [*FILES, README], ids=by_name)
def test_the_commands_are_right(file: Path, simssl: Command, world: None) -> None:
    found = commands(file.read_text())
    assert found
    for command, *words in found:
        if command == "run":
            result = simssl("check", *words)
            assert result.exit_code == 0, f"{words}: {result.stderr}"
        else:
            assert command == "report"
            cli.commands["report"].make_context("report", words, parent=click.Context(cli, obj=REGISTRY))


def test_the_settings_that_the_page_names_are_in_the_experiments() -> None:
    """Letter by letter."""
    rows = [line for line in README.read_text().splitlines() if line.startswith("|")]
    named = re.findall(r"\{name: .*?\}", "".join(rows))
    files = "".join(file.read_text() for file in FILES)
    assert len(named) > 7
    assert all(mapping in files for mapping in named)


def test_the_best_epoch_on_test_is_read_as_the_page_says(
    simssl: Command, world: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (measured,) = (words for _, *words in commands(README.read_text()) if "measure" in " ".join(words))
    small = [text.replace("60_000", "100").replace("select: test", "k: 3, select: test") for text in measured]
    for text in (*SMALL["mnist"], "evaluators=[]", "trackers=[]"):
        small += ["-s", text]
    ran = simssl("run", *small)
    assert ran.exit_code == 0, ran.stderr
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    exec(compile(code, str(README), "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    histories = sorted(Path("runs/release-mnist-epochs").glob("*/history.jsonl"))
    assert len(printed) == len(histories) == 2
    for line, history in zip(printed, histories, strict=True):
        moments = [json.loads(text) for text in history.read_text().splitlines()]
        values = [moment["metrics"]["knn_on_test/class/accuracy"]["value"] for moment in moments]
        assert len(values) > 4
        assert line == f"{history.parent.name} last {values[-1]} best {max(values)}"


def test_the_difference_from_the_right_row_is_told_as_the_page_says(simssl: Command, world: None) -> None:
    """With the name of the row that the page gives."""
    (relative,) = (words for _, *words in commands(README.read_text()) if "--relative-to" in words)
    options = ["-s", "dataset={name: mnist}", "-s", "trackers=[]", "-s", QUICK]
    for text in (*SMALL["mnist"], "training.views=40"):
        options += ["-s", text]
    ran = simssl("run", FOLDER / "mnist.yaml", "--plugin", FAULTS, "--seed", 0, *options)
    assert ran.exit_code == 0, ran.stderr
    table = simssl("report", *relative, *options)
    assert table.exit_code == 0, table.stderr
    assert relative[-1] in table.stdout
