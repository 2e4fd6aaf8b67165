"""The promises of docs/security.md, line by line: each test names the promise that it keeps."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import re
import shutil
import stat
import time
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from fake_runs import metric, write_run
from small_run import SMALL

from simssl.blocks.files import open_to_append
from simssl.blocks.messages import CONTROL
from simssl.cli import cli
from simssl.errors import RunError
from simssl.store.progress import progress_now

PAGE = Path(__file__).parents[1] / "docs" / "security.md"
KEPT: dict[str, list[str]] = {}
"""The promises, each with the tests that keep it."""

Command = Callable[..., Result]


def promise(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def note(test: Callable[..., None]) -> Callable[..., None]:
        KEPT.setdefault(name, []).append(test.__name__)
        return test

    return note


def test_every_promise_has_a_test() -> None:
    promises = re.findall(r"^- \*\*(.*?)\.\*\*", PAGE.read_text(), re.M)
    assert sorted(promises) == sorted(KEPT)


RUN = {
    **SMALL,
    "training": {"views": 180, "batch_views": 60},
    "evaluators": [{"name": "knn"}, {"name": "reconstruction"}],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and measured run, which no test changes."""
    folder = tmp_path_factory.mktemp("trained")
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump({**RUN, "trackers": [{"name": "tensorboard", "points": 10}]}))
    result = CliRunner().invoke(cli, ["run", str(file), "--runs", str(folder / "runs")])
    assert result.exit_code == 0, result.stderr
    (metrics,) = folder.rglob("metrics.json")
    return metrics.parent


AGAIN = ("run", "run.yaml", "--fresh")
"""The command that starts the run in `copy` again."""


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, and of its experiment file."""
    shutil.copy(trained.parents[2] / "run.yaml", tmp_path)
    return Path(shutil.copytree(trained, tmp_path / "runs" / trained.parent.name / trained.name))


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    (folder / "reconstruction").mkdir(parents=True)
    for name in ("file", "reconstruction/mine.png", "labels.tsv", "representation-train.npy"):
        (folder / name).write_text("mine")
    return folder


def content_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def replace_by_link(path: Path, target: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


FILES = (
    "metrics.json.part",
    "environment.json.part",
    "checkpoint.pt.part",
    "environment.json",
    "metrics.json",
    "features/representation-train.npy",
    "features/representation-train.npy.part",
    "images/reconstruction/test.png",
    "projector_config.pbtxt",
    "projector/labels.tsv",
    "projector/representation.tsv",
    "projector/thumbnails.png",
)


@promise("Links")
def test_no_file_that_a_link_leads_to_is_written(simssl: Command, copy: Path, victim: Path) -> None:
    (copy / "metrics.json").unlink()
    for name in FILES:
        target = victim / ("file" if name != "metrics.json" else "gone")
        replace_by_link(copy / name, target)
    for name in ("features", "images", "projector"):
        (copy / name).mkdir(exist_ok=True)
    (copy / "features" / "representation-train.npy").unlink()
    before = content_of(victim)
    result = simssl("evaluate", copy, "-e", "knn", "-e", "reconstruction")
    assert result.exit_code == 0, result.stderr
    assert content_of(victim) == before
    for name in ("metrics.json", "environment.json", "projector_config.pbtxt", "projector/labels.tsv"):
        assert not (copy / name).is_symlink(), name
    written = simssl(*AGAIN)
    assert written.exit_code == 0, written.stderr
    assert content_of(victim) == before


@promise("Links")
@pytest.mark.parametrize("name", ["features", "images", "images/reconstruction", "projector"])
def test_no_folder_that_a_link_leads_to_is_written(name: str, simssl: Command, copy: Path, victim: Path) -> None:
    replace_by_link(copy / name, victim)
    (victim / "representation-train.npy").unlink()
    before = content_of(victim)
    result = simssl("evaluate", copy, "-e", "reconstruction", "-e", "knn")
    assert f"{copy / name} is a link" in result.stderr
    assert result.exit_code == (0 if name == "projector" else 1)  # a tracker that fails is detached
    assert content_of(victim) == before


@promise("Links")
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_lock_that_is_a_link_is_refused(
    link: Callable[[Path, Path], None], simssl: Command, copy: Path, victim: Path
) -> None:
    (copy / ".lock").unlink()
    link(victim / "file", copy / ".lock")
    for words in (("evaluate", copy, "-e", "knn"), AGAIN):
        result = simssl(*words)
        assert result.exit_code != 0
        assert f"{copy.relative_to(Path.cwd())}" in result.stderr
        assert ".lock" in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
    assert content_of(victim)["file"] == "mine"


@promise("Links")
def test_no_run_is_moved_through_a_link(simssl: Command, copy: Path, victim: Path) -> None:
    (copy.parent / ".old").symlink_to(victim)
    before = content_of(victim)
    result = simssl(*AGAIN)
    assert result.exit_code == 1
    assert ".old is a link, and no run is moved through it" in result.stderr
    assert content_of(victim) == before
    assert (copy / "checkpoint.pt").exists()


@promise("Links")
@pytest.mark.parametrize("name", ["../file", "link"])
def test_a_tracker_appends_to_no_file_elsewhere(name: str, victim: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "link").symlink_to(victim / "file")
    with pytest.raises(RunError, match=r"cannot be written|not the name of a file"):
        open_to_append(run, name)
    with open_to_append(run, "terms.jsonl") as file:
        file.write("a")
    with open_to_append(run, "terms.jsonl") as file:
        file.write("b")
    assert (run / "terms.jsonl").read_text() == "ab"


@promise("Links")
def test_what_killed_writers_left_is_removed(simssl: Command, copy: Path) -> None:
    part = copy / "images" / "0123456789abcdef.part"
    part.write_text("half")
    (copy / "mine.part").touch()
    assert simssl("evaluate", copy, "-e", "knn").exit_code == 0
    assert not part.exists()
    assert (copy / "mine.part").exists()


@promise("Names")
@pytest.mark.parametrize("change", [{"name": "../x"}, {"name": "/x"}, {"evaluators": [{"name": "knn", "as": "../x"}]}])
def test_names_lead_nowhere_else(change: dict[str, Any], simssl: Command, small: Callable[..., Path]) -> None:
    result = simssl("run", small(**change))
    assert result.exit_code == 2
    assert "letters, digits, '_', '.' and '-'" in result.stderr


# --- what runs code


@promise("Installed plugins")
def test_a_plugin_is_imported_when_it_is_named(simssl: Command, small: Callable[..., Path], package: Any) -> None:
    code = "from pathlib import Path\nPath('imported').touch()\n"
    package("evil-dist", "evil_module", code, tracker="evil")
    assert simssl("plugins").exit_code == 0
    assert simssl("check", small()).exit_code == 0
    assert not Path("imported").exists()
    simssl("check", small(trackers=[{"name": "evil"}]))
    assert Path("imported").exists()


TRACKER = """
from pathlib import Path
import simssl
from simssl.api import Tracker

Path("ran").touch()

class Mine(Tracker):
    class Params(simssl.Params):
        pass

@simssl.hookimpl
def simssl_tracker():
    return Mine
"""


@promise("Files of one plugin")
def test_a_runs_plugin_file_is_not_run_until_it_is_given(simssl: Command, small: Callable[..., Path]) -> None:
    Path("mine.py").write_text(TRACKER)
    short = {"training": RUN["training"], "evaluators": [], "trackers": [{"name": "mine"}]}
    assert simssl("run", small(**short), "--plugin", "mine.py").exit_code == 0
    Path("ran").unlink()
    (run,) = (path.parent for path in Path("runs").rglob("checkpoint.pt"))
    result = simssl("evaluate", run)
    assert result.exit_code == 2
    assert "give --plugin" in result.stderr
    assert simssl("report", "runs").exit_code == 0
    assert not Path("ran").exists()


@promise("Experiments")
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['touch ran']", "!!python/name:os.system ''", "!x 1"])
def test_tags_are_errors(tag: str, simssl: Command) -> None:
    Path("e.yaml").write_text(f"name: {tag}\n")
    result = simssl("check", "e.yaml")
    assert result.exit_code == 2
    assert "is not supported" in result.stderr
    assert not Path("ran").exists()


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


@promise("Checkpoints")
def test_a_checkpoint_runs_no_code(simssl: Command, copy: Path) -> None:
    torch.save({"digest": Evil()}, copy / "checkpoint.pt", pickle_module=pickle)
    for words in (("evaluate", copy, "-e", "knn"), ("encode", copy, "digits", "-o", "z.npz")):
        result = simssl(*words)
        assert result.exit_code == 1
        assert "is damaged (it holds something else than tensors" in result.stderr
        assert "trust" not in result.stderr
        assert "weights_only" not in result.stderr
    assert not Path("ran").exists()


WRONG: list[dict[Any, Any]] = [
    {"threads": "x"},
    {"threads": 10**9},
    {"image_shape": None},
    {"image_shape": [1, "8", 8]},
    {"done": 1},
    {"objective": [1]},
    {"objective": {1: torch.ones(1)}},
    {"step": -1},
    {"seconds": float("nan")},
    {"representations": (torch.ones(4), torch.ones(4))},
]


@promise("Checkpoints")
def test_a_checkpoint_of_wrong_types_is_named(simssl: Command, copy: Path) -> None:
    file = copy / "checkpoint.pt"
    state = torch.load(file, weights_only=True)
    for change in WRONG:
        torch.save({**state, **change}, file)
        (key,) = change
        result = simssl("encode", copy, "digits", "-o", "z.npz")
        assert result.exit_code == 1
        assert f"{file} is damaged (its {key} is no run's)" in result.stderr
    torch.save({1: 2, (3, 4): 5}, file)
    assert f"{file} is damaged (it has no" in simssl("encode", copy, "digits", "-o", "z.npz").stderr


@promise("Run folders")
def test_nothing_in_a_runs_folder_is_run(simssl: Command, copy: Path) -> None:
    """Code of any name, and pickles where arrays belong."""
    for name in ("sitecustomize.py", "conftest.py", "knn.py", "simssl.py"):
        (copy / name).write_text("open('ran', 'w')")
    for split in ("train", "test"):
        (copy / "features" / f"representation-{split}.npy").write_bytes(pickle.dumps(Evil()))
    simssl("evaluate", copy, "-e", "knn")
    assert simssl("report", copy, "--html", "page.html").exit_code == 0
    assert not Path("ran").exists()


@promise("Data")
def test_pickles_of_data_are_read_for_arrays_alone(simssl: Command, small: Callable[..., Path]) -> None:
    folder = Path("data/cifar-10-batches-py")
    folder.mkdir(parents=True)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps({"labels": Evil(), "data": Evil()}, protocol=2))
    result = simssl("run", small(dataset={"name": "cifar10"}))
    assert result.exit_code == 2
    assert "is damaged" in result.stderr
    assert not Path("ran").exists()


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of submitit's files, on a machine whose Slurm takes every job and does nothing."""
    pytest.importorskip("submitit", reason="there is no submitit: python -m pip install 'simssl[slurm]'")
    for name in ("sbatch", "srun", "squeue"):
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text("#!/bin/sh\necho Submitted batch job 77\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "simssl"


@promise("Cluster jobs")
def test_pickles_lie_apart_and_are_the_users_alone(simssl: Command, small: Callable[..., Path], slurm: Path) -> None:
    result = simssl("run", small(), "--cluster", "slurm")
    assert result.exit_code == 0, result.stderr
    (made,) = (slurm / "cluster").iterdir()
    assert list(made.glob("*.pkl"))
    assert not list(Path("runs").rglob("*.pkl"))
    for folder in (slurm, slurm / "cluster", made):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@promise("Cluster jobs")
@pytest.mark.parametrize("kind", ["open to others", "a link", "another user's"])
@pytest.mark.parametrize("inner", [".", "cluster"])
def test_no_pickle_is_put_where_others_write(
    kind: str, inner: str, simssl: Command, small: Callable[..., Path], slurm: Path, tmp_path: Path
) -> None:
    folder = slurm / inner
    folder.mkdir(parents=True, mode=0o700)
    if kind == "open to others":
        folder.chmod(0o770)
    elif kind == "a link":
        folder.rmdir()
        (tmp_path / "theirs").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "theirs")
    elif os.geteuid():
        pytest.skip("only root can give a folder to another user")
    else:
        os.chown(folder, 1, 1)
    result = simssl("run", small(), "--cluster", "slurm")
    assert result.exit_code == 2
    assert "pickles are not put there" in result.stderr
    assert not list(tmp_path.rglob("*.pkl"))


# --- bounds

BASE = yaml.safe_dump({**SMALL, "name": "bounds"})
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HUGE = {
    "aliases": BOMB,
    "nodes": f"a: [{'1,' * 30_000}]",
    "anchors": "".join(f"- &a{i}\n" for i in range(12_000)),
    "scalar": f"a: {'x' * 10_000_000}",
    "depth": "[" * 100_000,
    "blocks": "- " * 50_000,
    "grid": BASE
    + "grid:\n"
    + "".join(
        f"  {key}: {list(range(1, 101))}\n" for key in ("seed", "latent_dim", "training.views", "training.log_every")
    ),
    "seeds": BASE + f"grid: {{seed: {list(range(30_000))}}}",
    "hexadecimal": BASE.replace("seed: 0", f"seed: 0x{'f' * 5000}"),
    "decimal": BASE.replace("latent_dim: 4", f"latent_dim: {'9' * 5000}"),
    "float": BASE.replace("views: 1800", f"views: 1{'0' * 5000}e1"),
}


@promise("Bounds of experiments")
@pytest.mark.parametrize("kind", HUGE)
def test_a_small_file_does_not_hang(kind: str, simssl: Command, tmp_path: Path) -> None:
    file = tmp_path / "e.yaml"
    file.write_text(BASE)
    simssl("check", file)  # imports
    file.write_text(HUGE[kind])
    start = time.process_time()
    result = simssl("check", file)
    assert time.process_time() - start < 1
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) <= 3
    assert len(result.stderr) < 2000
    assert "e.yaml:" in result.stderr


@promise("Bounds of experiments")
@pytest.mark.parametrize("value", ["0x" + "f" * 5000, "9" * 5000, "[" * 5000, "x" * 5000])
def test_an_option_does_not_hang(value: str, simssl: Command, small: Callable[..., Path]) -> None:
    result = simssl("check", small(), "-s", f"seed={value}")
    assert result.exit_code == 2
    assert len(result.stderr) < 2000


# --- reports


def _nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def _fifo(path: Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def _entry(**changes: Any) -> str:
    return json.dumps({"metrics": {"knn/class/accuracy": {**metric(0.5), **changes}}})


BAD: dict[str, Callable[[Path], Any]] = {
    "deep metrics": lambda run: (run / "metrics.json").write_text(f'{{"metrics": {_nested(100_000)}}}'),
    "deep protocol": lambda run: (run / "metrics.json").write_text(_entry(protocol={"a": json.loads(_nested(200))})),
    "evaluator's name": lambda run: (run / "metrics.json").write_text(_entry(protocol={"evaluator": {"name": 5}})),
    "selected_on": lambda run: (run / "metrics.json").write_text(_entry(protocol={"selected_on": {}})),
    "layer": lambda run: (run / "metrics.json").write_text(_entry(protocol={"layer": [1]})),
    "surrogate": lambda run: (run / "metrics.json").write_text(_entry(unit="\ud800")),
    "huge value": lambda run: (run / "metrics.json").write_text(_entry(value=1.7e308)),
    "huge integer": lambda run: (run / "metrics.json").write_text(_entry(protocol={"k": 10**400})),
    "pipe": lambda run: _fifo(run / "metrics.json"),
    "folder": lambda run: ((run / "metrics.json").unlink(), (run / "metrics.json").mkdir()),
    "experiment is a pipe": lambda run: _fifo(run / "experiment.yaml"),
    "bomb": lambda run: (run / "experiment.yaml").write_text(BOMB),
    "latent_dim": lambda run: write_run(run, {"knn/a": metric(1)}, latent_dim=10**90),
    "seed": lambda run: write_run(run, {"knn/a": metric(1)}, seed=10**90),
    "setting": lambda run: write_run(run, {"knn/a": metric(1)}, training={"views": float("nan")}),
    "too long": lambda run: (run / "metrics.json").write_text(" " * 16_000_001),
}


@promise("One bad run")
@promise("Bounds of records")
@pytest.mark.parametrize("kind", BAD)
def test_one_bad_run_is_left_out(kind: str, simssl: Command) -> None:
    write_run(Path("runs/good"), {"knn/class/accuracy": metric(0.75)}, name="good")
    BAD[kind](write_run(Path("runs/bad"), {"knn/class/accuracy": metric(0.5)}))
    result = simssl("report", "runs", "--format", "md", "--html", "page.html")
    assert result.exit_code == 1
    assert "0.750" in result.stdout
    assert "left out: runs/bad" in result.stderr
    assert "0.750" in Path("page.html").read_text()


@promise("One bad run")
@pytest.mark.parametrize(
    "record",
    [
        _nested(100_000),
        '{"training": {"times": {"seconds": 1' + "0" * 400 + "}}}",
        '{"training": {"times": [], "command": [{}], "libraries": 5, "plugins": []}}',
    ],
)
def test_a_bad_environment_spoils_nothing(record: str, simssl: Command) -> None:
    run = write_run(Path("runs/good"), {"knn/class/accuracy": metric(0.75)})
    (run / "environment.json").write_text(record)
    _fifo(run / "events.out.tfevents.1")
    result = simssl("report", "runs", "--html", "page.html")
    assert result.exit_code == 0, result.stderr
    assert "0.75" in result.stdout


@promise("Bounds of records")
def test_a_bomb_of_a_checkpoint_is_not_unpacked(simssl: Command, copy: Path) -> None:
    file = copy / "checkpoint.pt"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 100_000_000)
    start = time.process_time()
    result = simssl("encode", copy, "digits", "-o", "z.npz")
    assert result.exit_code == 1
    assert "is damaged (it would unpack to 100,000,000 bytes" in result.stderr
    assert time.process_time() - start < 1


EVIL = (
    "\x1b]0;title\x07",
    "=cmd|' /C calc'!A0",
    "a\n\\input{/etc/passwd}",
    "<script>alert(1)</script>",
    "a|b](javascript:x)",
    "\u202eabc",
)


@pytest.fixture
def evil_runs() -> Path:
    """Runs whose names, keys, settings and reasons come from someone else."""
    for number, text in enumerate(EVIL):
        metrics: dict[str, Any] = {
            f"{text}/{text}": metric(0.5, note=text),
            "gmm": {"skipped": text, "evaluator": {"name": text}},
        }
        facts = {"family": "generative", "about": {text: text}, "roles": {text: "style"}}
        objective = {"name": text, text: text}
        run = write_run(Path(f"runs/{number}"), metrics, facts, name=text, objective=objective)
        part = {"device": text, "command": [text], "plugins": {text: text}, "git": text, "times": {"ended": text}}
        (run / "environment.json").write_text(json.dumps({"training": part}))
    damaged = write_run(Path("runs/damaged"), {"knn/a": metric(1)})
    (damaged / "experiment.yaml").write_text(f'"{chr(92)}e]0;x": 1')
    return Path("runs")


@promise("Control characters")
@pytest.mark.parametrize("format_", ["table", "md", "csv", "json", "latex"])
def test_words_of_files_are_escaped(format_: str, simssl: Command, evil_runs: Path) -> None:
    result = simssl("report", evil_runs, "--format", format_)
    assert "left out" in result.stderr
    assert not CONTROL.search(result.stdout + result.stderr)
    if format_ == "csv":
        for row in csv.reader(io.StringIO(result.stdout)):
            for cell in row:
                assert not cell.startswith(("=", "@", "+", "\t", "\r"))
                assert "\n" not in cell
    if format_ == "latex":
        assert not re.search(r"^[^%]*\\input", result.stdout, re.M)
    if format_ == "md":
        assert not re.search(r"(?<!\\)<script|(?<!\\)\]\(", result.stdout)
        assert all(line.startswith(("|", "- ", "**", "mean", "one run")) for line in result.stdout.splitlines() if line)


@promise("Control characters")
def test_a_negative_number_is_a_number(simssl: Command) -> None:
    write_run(Path("runs/a"), {"style_probe/R2": {**metric(-0.5), "unit": "R2"}})
    (row,) = csv.DictReader(io.StringIO(simssl("report", "runs", "--format", "csv").stdout))
    assert row["mean"] == "-0.5"


HOSTILE: dict[str, Callable[[Path], Any]] = {
    "words": lambda file: file.write_text(
        progress_now("failed", message="".join(EVIL), host=EVIL[0]).model_dump_json()
    ),
    "deep": lambda file: file.write_text(f'{{"state": {_nested(100_000)}}}'),
    "deep within": lambda file: file.write_text(f'{{"evaluators": [{{"a": {_nested(100)}}}]}}'),
    "too long": lambda file: file.write_text(" " * 1_000_001),
    "pipe": lambda file: _fifo(file),
    "times": lambda file: file.write_text(
        progress_now("running", since=9e10, ends=9e10, step=2**62, steps=2**62).model_dump_json()
    ),
    "job": lambda file: file.write_text('{"state": "queued", "job": {"cluster": "slurm", "number": "--help"}}'),
}


@promise("One bad run")
@promise("Bounds of records")
@promise("Control characters")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_progress_spoils_nothing(kind: str, simssl: Command, evil_runs: Path) -> None:
    bad = write_run(Path("runs/bad"), None)
    HOSTILE[kind](bad / "progress.json")
    write_run(evil_runs / "\x1b]0;title\x07-seed0-00000000", None)
    for words in ((), ("--json",)):
        result = simssl("status", evil_runs, *words)
        assert result.exit_code == 0, result.stderr
        assert not CONTROL.search(result.stdout + result.stderr)
        assert "bad" in result.stdout
        assert len(result.stdout) < 20_000


@promise("The page")
@promise("Control characters")
def test_the_page_has_no_script_and_loads_nothing(simssl: Command, evil_runs: Path) -> None:
    simssl("report", evil_runs, "--html", "page.html")
    page = Path("page.html").read_text()
    assert not CONTROL.search(page)
    elements = []

    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            elements.append(tag)
            for name, value in attributes:
                assert not name.startswith("on")
                if name in ("src", "href"):
                    assert (value or "").startswith(("#", "data:image/png", "data:text/csv")), value

    Elements().feed(page)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(elements)
    assert "url(" not in page


# --- plugins that exit

OBJECTIVE = """
import sys
import torch
import simssl
from simssl.api import Objective, Posterior

class Mine(Objective):
    views = ("random", "random")

    class Params(simssl.Params):
        pass

    def __init__(self, params, context):
        super().__init__(params, context)
        self.network = context.encoder(context.latent_dim)

    def forward(self, x_BJCHW, index_B, generator):
        {loss}

    def posterior(self, x_BCHW):
        return Posterior(self.network(x_BCHW))

@simssl.hookimpl
def simssl_objective():
    {hook}
    return Mine
"""
EVALUATOR = """
import sys
import simssl
from simssl.api import Evaluator

class Mine(Evaluator):
    "Exits."
    class Params(simssl.Params):
        pass

    def run(self, subject):
        {exit}

@simssl.hookimpl
def simssl_evaluator():
    return Mine
"""
DATASET = """
import sys
import simssl
from simssl.api import Dataset

class Mine(Dataset):
    class Params(simssl.Params):
        pass

    def load(self, root, progress):
        {exit}

@simssl.hookimpl
def simssl_dataset():
    return Mine
"""
EXITS = ("sys.exit()", "sys.exit(0)", "raise KeyboardInterrupt", "raise GeneratorExit")
PLUGINS: dict[str, tuple[str, dict[str, Any]]] = {
    "loss": (OBJECTIVE.replace("{loss}", "{exit}").replace("{hook}", "pass"), {"objective": {"name": "mine"}}),
    "hook": (OBJECTIVE.replace("{loss}", "pass").replace("{hook}", "{exit}"), {"objective": {"name": "mine"}}),
    "evaluator": (EVALUATOR, {"evaluators": [{"name": "mine"}]}),
    "dataset": (DATASET, {"dataset": {"name": "mine"}}),
}


@promise("Exits of plugins")
@pytest.mark.parametrize("exit_", EXITS)
@pytest.mark.parametrize("where", PLUGINS)
def test_a_plugin_that_exits_has_failed(where: str, exit_: str, simssl: Command, small: Callable[..., Path]) -> None:
    code, change = PLUGINS[where]
    Path("mine.py").write_text(code.replace("{exit}", exit_))
    file = small(**{**RUN, "evaluators": [], **change})
    result = simssl("run", file, "--plugin", "mine.py")
    assert result.exit_code not in (0, None), result.stdout
    assert "SystemExit" in result.stderr or "sys" not in exit_
    assert "mine.py:" in result.stderr or (exit_ == "raise KeyboardInterrupt" and "interrupted" in result.stderr)
    assert "0.9" not in result.stdout


@promise("Exits of plugins")
def test_the_other_runs_go_on(simssl: Command, small: Callable[..., Path]) -> None:
    code, _ = PLUGINS["loss"]
    Path("mine.py").write_text(code.replace("{exit}", "raise KeyboardInterrupt"))
    file = small(**{**RUN, "evaluators": [], "grid": {"objective": [{"name": "mine"}, {"name": "random"}]}})
    result = simssl("run", file, "--plugin", "mine.py")
    assert result.exit_code == 1
    assert "failed: KeyboardInterrupt" in result.stderr
    assert len(list(Path("runs").rglob("metrics.json"))) == 1


@promise("Exits of plugins")
def test_a_tracker_that_exits_is_detached(simssl: Command, small: Callable[..., Path]) -> None:
    Path("mine.py").write_text(
        "import sys\n"
        + TRACKER.replace("        pass", "        pass\n\n    def started(self, run):\n        sys.exit(0)")
    )
    result = simssl("run", small(**{**RUN, "evaluators": [], "trackers": [{"name": "mine"}]}), "--plugin", "mine.py")
    assert result.exit_code == 0
    assert "the tracker 'mine' failed and is detached: SystemExit: 0" in result.stderr


@promise("Exits of plugins")
def test_a_plugin_that_exits_in_a_worker_has_failed(simssl: Command, small: Callable[..., Path]) -> None:
    code, _ = PLUGINS["loss"]
    Path("mine.py").write_text(code.replace("{exit}", "sys.exit(0)"))
    grid = {"objective": [{"name": "mine"}, {"name": "random"}]}
    result = simssl("run", small(**{**RUN, "evaluators": [], "grid": grid}), "--plugin", "mine.py", "--jobs", 2)
    assert result.exit_code == 1
    assert "failed: SystemExit: 0" in result.stderr
    assert len(list(Path("runs").rglob("metrics.json"))) == 1
