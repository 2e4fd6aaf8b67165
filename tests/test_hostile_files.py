"""Mutated files end in a sentence or are read: no unexpected error, and none takes a second.

Two thousand of them: SIMSSL_EXAMPLES=334 pytest tests/test_hostile_files.py (so many for each of the six kinds). The
examples are the same each time.
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from fake_runs import SETTINGS, metric
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mutations import NASTY, damaged, mutated
from PIL import Image
from small_run import SMALL

from simssl.blocks.messages import CONTROL
from simssl.cli import cli
from simssl.errors import SimsslError
from simssl.evaluation.subject import FrozenSubject
from simssl.plugin.registry import Registry
from simssl.store.checkpoint import load_state, save_state
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import tiny_run

EXAMPLES = int(os.environ.get("SIMSSL_EXAMPLES", "25"))
SECONDS = 1.0

many = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)

EXPERIMENT = {
    **SMALL,
    "grid": {"seed": [0, 1], "method": [{"objective.J": 4}, {"latent_dim": 8}]},
    "trackers": [{"name": "console"}, {"name": "tensorboard"}],
}
METRICS = {
    "schema": 1,
    "experiment": "e",
    "objective": "simvae",
    "seed": 0,
    "family": "generative",
    "roles": {"class": "content"},
    "about": {"knn": "Nearest `neighbours`."},
    "metrics": {
        "knn/class/accuracy": metric(0.9, evaluator={"name": "knn", "k": 5}, selected_on="val", data="f", classes=10),
        "style_probe/R2": metric(0.4, selected={"l2": 0.1}, found=[1, 2, 3], role="style"),
        "gmm": {"skipped": "no labels", "evaluator": {"name": "gmm"}},
    },
}
PART = {
    "simssl": "0.1.0",
    "command": ["simssl", "run", "e.yaml"],
    "libraries": {"torch": "2.6"},
    "plugins": {"objective simvae": "simssl 0.1.0"},
    "plugin_files": {"objective own": {"path": "own.py", "sha256": "ab"}},
    "device": "cpu",
    "threads": 1,
    "git": "abc",
    "times": {"first_started": "2026-01-01", "ended": "2026-01-02", "seconds": 12.5},
}
ENVIRONMENT = {"training": PART, "measurement": PART}
RUN = {**SETTINGS, "evaluators": [{"name": "knn"}, {"name": "style_probe"}, {"name": "gmm"}]}


@contextmanager
def quick() -> Iterator[None]:
    """Fails if the block takes this process a second; others that keep the machine busy do not count."""
    start = time.process_time()
    yield
    took = time.process_time() - start
    assert took < SECONDS, f"it took {took:.1f} s"


def told(*words: object) -> Result:
    """The result of a command that ends as it should, whatever it was handed."""
    with quick():
        result = CliRunner().invoke(cli, [str(word) for word in words], prog_name="simssl")
    assert "simssl --debug shows" not in result.stderr, result.stderr  # the end of an error without a sentence
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2)
    assert result.exit_code == 0 or result.stderr
    assert not CONTROL.search(result.stdout + result.stderr)
    return result


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Import what the commands import, so that no example waits for it."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "e.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    CliRunner().invoke(cli, ["check", str(folder / "e.yaml")])
    _write_run(folder / "runs" / "a", yaml.safe_dump(RUN).encode(), METRICS, ENVIRONMENT)
    CliRunner().invoke(cli, ["report", str(folder / "runs"), "--html", str(folder / "page.html")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


def in_yaml(tree: Any) -> bytes:
    return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")


experiments = st.one_of(mutated(EXPERIMENT).map(in_yaml), damaged(in_yaml(EXPERIMENT)))


@many
@given(content=experiments)
def test_an_experiment_file(content: bytes, folder: Path) -> None:
    file = folder / "e.yaml"
    file.write_bytes(content)
    told("check", file)


KEYS = ["seed", "latent_dim", "training.views", "objective", "grid", "evaluators.0", "views.crop.scale", "a.b", "", "."]


@many
@given(
    overrides=st.lists(
        st.tuples(st.sampled_from(KEYS), st.one_of(st.sampled_from(NASTY).map(json.dumps), st.text(max_size=20))),
        min_size=1,
        max_size=3,
    )
)
def test_overrides(overrides: list[tuple[str, str]], folder: Path) -> None:
    file = folder / "fixed.yaml"
    file.write_bytes(in_yaml(EXPERIMENT))
    words = []
    for key, value in overrides:
        words += ["-s", f"{key}={value}"]
    told("check", file, *words)


def _write_run(path: Path, experiment: bytes, metrics: Any, environment: Any) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / ".lock").touch()
    (path / "experiment.yaml").write_bytes(experiment)
    for name, record in (("metrics", metrics), ("environment", environment)):
        content = record if isinstance(record, bytes) else json.dumps(record).encode()
        (path / f"{name}.json").write_bytes(content)


def records(tree: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.just(tree), mutated(tree), damaged(json.dumps(tree).encode()))


@many
@given(
    experiment=st.one_of(st.just(in_yaml(RUN)), mutated(RUN).map(in_yaml), damaged(in_yaml(RUN))),
    metrics=records(METRICS),
    environment=records(ENVIRONMENT),
    format_=st.sampled_from(["table", "md", "csv", "json", "latex"]),
)
def test_the_records_of_a_run(experiment: bytes, metrics: Any, environment: Any, format_: str, folder: Path) -> None:
    """The other run is shown whatever became of this one."""
    runs = folder / "runs"
    _write_run(runs / "mutated", experiment, metrics, environment)
    _write_run(runs / "whole", in_yaml({**RUN, "name": "whole", "seed": 5}), METRICS, ENVIRONMENT)
    result = told("report", runs, "--format", format_, "--html", folder / "page.html")
    assert "0.9" in result.stdout
    assert "left out: " in result.stderr or result.exit_code == 0
    assert not CONTROL.search((folder / "page.html").read_text())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], torch.Tensor]:
    """Loads a folder of images through its cache."""
    root = tmp_path_factory.mktemp("data")
    for name in ("a", "b"):
        (root / "photos" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.full((8, 8, 3), 20 * i, np.uint8)
            Image.fromarray(pixels).save(root / "photos" / name / f"{i}.png")
    dataset = Registry().load("dataset", "image_folder")

    def load() -> torch.Tensor:
        params = dataset.Params(path="photos", size=8)
        return dataset(params).load(root, lambda *_: None).train.images.clone()

    load.root = root  # type: ignore[attr-defined]
    return load


@many
@given(data=st.data())
def test_the_cache_of_images(data: st.DataObject, photos: Any) -> None:
    before = photos()
    (cache,) = (file for file in (photos.root / "simssl-cache").iterdir() if not file.name.endswith(".part"))
    content = cache.read_bytes()
    header, pixels = content[:4096], content[4096:]
    try:
        cache.write_bytes(data.draw(damaged(header.rstrip())).ljust(4096)[:4096] + pixels)
        with quick():
            assert torch.equal(photos(), before)
    finally:
        cache.write_bytes(content)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> FrozenSubject:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    return FrozenSubject(tiny_run(Registry().load("objective", "simclr")), folder, "knn")


@many
@given(data=st.data())
def test_the_cache_of_features(data: st.DataObject, subject: FrozenSubject) -> None:
    subject.features("train")
    (cache,) = (file for file in subject._folder.features.iterdir() if "train" in file.name)
    content = cache.read_bytes()
    try:
        cache.write_bytes(data.draw(damaged(content)))
        with quick():
            subject.features("train")
    except SimsslError as error:
        assert str(cache) in str(error)  # noqa: PT017
    finally:
        cache.write_bytes(content)


STATE: dict[str, Any] = {
    "digest": "d",
    "data": "f",
    "device": "cpu",
    "threads": 1,
    "done": True,
    "seconds": 1.0,
    "step": 1,
    "objective": {"weight": torch.ones(3)},
    "image_shape": [3, 8, 8],
    "num_images": 10,
    "optimizer": {"state": {}, "param_groups": []},
}


def in_zip(state: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@many
@given(content=st.one_of(mutated(STATE).map(in_zip), damaged(in_zip(STATE))))
def test_a_checkpoint(content: bytes, folder: Path) -> None:
    file = folder / "checkpoint.pt"
    file.write_bytes(content)
    try:
        with quick():
            state = load_state(file)
    except SimsslError as error:
        assert str(file) in str(error)  # noqa: PT017
    else:
        assert state is not None
        save_state(file, state)
