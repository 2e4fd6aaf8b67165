"""Places as people have them: ~ in a path, names in Latin-1, a broken TensorBoard, a full disk."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from processes import Process

from simssl.plugin.registry import Registry
from simssl.report.page.steps import curves

Run = Callable[..., Result]

PHOTOS = Registry(builtins_only=True).load("dataset", "image_folder")


def test_a_path_may_begin_at_home(
    simssl: Callable[..., Result], small: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell leaves it: after an option's =, and in variables."""
    monkeypatch.setenv("HOME", str(Path("home").resolve()))
    PHOTOS.example(Path("home/data"))
    monkeypatch.setenv("SIMSSL_DATA", "~/data")
    monkeypatch.setenv("SIMSSL_CACHE", "~/cache")
    Path("home/runs").mkdir()
    data = {"name": "image_folder", "path": "photos", "size": 8}
    training = {"views": 9, "batch_views": 9}
    small("home/small.yaml", dataset=data, training=training, evaluators=[{"name": "knn", "k": 1}])
    result = simssl("run", "~/small.yaml", "--runs=~/runs")
    assert result.exit_code == 0, result.stderr
    (run,) = Path("home/runs/small").iterdir()
    assert list(Path("home/cache").iterdir())
    Path("home/table.csv").write_text("dataset,objective,key,value,stderr,source\nimage_folder,simvae,knn,1,,paper\n")
    assert simssl("report", "~/runs", "--html=~/page.html", "--against=~/table.csv").exit_code == 0
    assert Path("home/page.html").exists()
    encoded = simssl("encode", f"~/runs/small/{run.name}", "~/data/photos/dark/grey.png", "-o", "~/one.npz")
    assert encoded.exit_code == 0, encoded.stderr
    assert not Path("~").exists()


def finished(folder: Path, *words: object) -> str:
    """The standard error of a command that ends well."""
    code, error = Process(folder, *words).finish()
    assert code == 0, error
    return error


def test_names_of_bytes_that_are_no_text_reach_the_table_and_the_page(
    tmp_path: Path, small: Callable[..., Path]
) -> None:
    """Latin-1, as old disks have it: the experiment's folder, a class, files, the runs' and the page's own name."""
    cafe, folder, runs, page = (os.fsdecode(name) for name in (b"caf\xe9", b"m\xfcller", b"r\xfcns", b"\xe9.html"))
    PHOTOS.example(tmp_path / "data")
    for label in ("bright", "dark"):
        (tmp_path / "data/photos" / label).rename(tmp_path / "data/photos" / f"{cafe} {label}")
    (tmp_path / folder).mkdir()
    file = small(
        f"{folder}/small.yaml",
        dataset={"name": "image_folder", "path": "photos", "size": 8},
        training={"views": 9, "batch_views": 9},
        evaluators=[{"name": "knn", "k": 1}],
        trackers=[{"name": "tensorboard"}],
    )
    assert "tensorboard" not in finished(tmp_path, "run", file)
    (run,) = (tmp_path / "runs/small").iterdir()
    assert "caf\\udce9" in (run / "projector/labels.tsv").read_text()
    finished(tmp_path, "report", "runs", "--html", page)
    assert "m\\udcfcller" in (tmp_path / page).read_text()
    assert "TensorBoard writes to paths in UTF-8 alone" in finished(tmp_path, "run", file, "--runs", runs)
    finished(tmp_path, "report", runs, "--html", page)
    finished(tmp_path, "encode", run, tmp_path / "data/photos" / f"{cafe} dark", "-o", "x.npz")


@pytest.fixture
def broken_tensorboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation of TensorBoard that cannot be imported."""
    for module in ("torch.utils.tensorboard", "tensorboard.backend.event_processing.event_accumulator"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "simssl_plugins.trackers.tensorboard", raising=False)
    curves._reader_of_events.cache_clear()
    yield
    curves._reader_of_events.cache_clear()


def test_a_run_says_how_it_goes_on_without_tensorboard(
    simssl: Run, small: Callable[..., Path], broken_tensorboard: None
) -> None:
    file = small(trackers=[{"name": "console"}, {"name": "tensorboard"}])
    result = simssl("run", file)
    assert result.exit_code == 2
    assert "; -s 'trackers=[{name: console}]' goes on without it\n" in result.stderr
    result = simssl("run", file, "-s", "trackers=[{name: console}]")
    assert result.exit_code == 0, result.stderr


def test_a_page_and_a_measurement_do_without_tensorboard(
    simssl: Run, small: Callable[..., Path], request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    assert simssl("run", small(trackers=[{"name": "console"}, {"name": "tensorboard"}])).exit_code == 0
    request.getfixturevalue("broken_tensorboard")
    assert simssl("report", "runs", "--html", "page.html").exit_code == 0
    (said,) = (message for message in caplog.messages if "tensorboard" in message)
    assert said.startswith("the training curves are left out, for the package tensorboard is broken (")
    result = simssl("evaluate", *Path("runs/small").iterdir(), "-e", "{name: knn, k: 1}")
    assert result.exit_code == 0, result.stderr
    assert "is broken: importing it raised" in result.stderr
    assert "; it is left out\n" in result.stderr
    assert "  knn: class/accuracy" in result.stderr


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As a disk that is full: no file grows beyond so many bytes."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_a_disk_without_a_byte_is_told_with_the_path(simssl: Run, small: Callable[..., Path]) -> None:
    file = small()
    with files_of_at_most(0):
        result = simssl("run", file)
    assert result.exit_code == 1
    (folder,) = Path("runs/small").iterdir()
    assert f"failed: {folder} cannot be written (File too large); make room or mend it, then give" in result.stderr
    assert simssl("run", file).exit_code == 0


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_tensorboard_prints_no_traceback_when_the_disk_is_full(simssl: Run, small: Callable[..., Path]) -> None:
    training = {"views": 1800, "batch_views": 60, "log_every": 1}
    file = small(training=training, trackers=[{"name": "tensorboard"}])
    with files_of_at_most(8000):
        result = simssl("run", file)
    assert result.exit_code == 1
    assert "the tracker 'tensorboard' failed and is detached: OSError: [Errno 27] File too large" in result.stderr
    assert "checkpoint.pt cannot be written (File too large)" in result.stderr
    assert "Traceback" not in result.stderr
    assert simssl("run", file).exit_code == 0
