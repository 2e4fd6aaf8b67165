"""Two commands on one grid: each works on what is free, and waits for the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from simssl.launch import shared
from simssl.store.folder import RunFolder

Command = Callable[..., Result]
Write = Callable[..., Path]

SEEDS = {"seed": [0, 1]}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "SECONDS", 0.02)


@contextmanager
def held(
    folder: Path,
    seconds: float,
    before_letting_go: Callable[[], object] = int,
    until: Path = Path(),
) -> Iterator[None]:
    """Hold a run's folder as another process would: until there is a file, and for so long from then on."""
    stack = ExitStack()
    stack.enter_context(RunFolder(folder).locked())

    def let_go() -> None:
        deadline = time.monotonic() + 60
        while not until.exists() and time.monotonic() < deadline:
            threading.Event().wait(0.05)
        threading.Event().wait(seconds)
        before_letting_go()
        stack.close()

    thread = threading.Thread(target=let_go)
    thread.start()
    yield
    thread.join()


def folders(simssl: Command, file: Path) -> list[Path]:
    """The folders of the file's two runs. They are trained in another place."""
    assert simssl("run", file, "--runs", "whole").exit_code == 0
    return [Path("runs/small") / run.name for run in sorted(Path("whole/small").iterdir())]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_run_of_another_comes_last_and_goes_on_when_the_other_lets_go(
    jobs: int, simssl: Command, small: Write
) -> None:
    file = small(grid=SEEDS)
    first, second = folders(simssl, file)
    with held(first, 1.0, until=second / "metrics.json"):
        result = simssl("run", file, "-j", jobs)
    assert result.exit_code == 0, result.stderr
    lines = result.stderr
    assert lines.count("works on it; it comes last") == 1
    assert lines.count("waiting for 1 run of other processes") == 1
    assert lines.index(f"2/2] simvae, seed 1: {second}") < lines.index("waiting for")
    assert lines.index("waiting for") < lines.rindex(f"1/2] simvae, seed 0: {first}")
    for folder in (first, second):
        expected = (Path("whole/small") / folder.name / "metrics.json").read_bytes()
        assert (folder / "metrics.json").read_bytes() == expected


def test_what_another_has_finished_is_done(simssl: Command, small: Write) -> None:
    file = small(grid=SEEDS)
    first, _ = folders(simssl, file)
    finished = Path("whole/small") / first.name

    def finish() -> None:
        for path in finished.iterdir():
            if path.is_file() and path.name != ".lock":
                (first / path.name).write_bytes(path.read_bytes())

    with held(first, 1.0, finish):
        result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert f"{first} is done already" in result.stderr
    assert not (first / "features").exists()


def test_what_another_finishes_before_its_turn_is_not_touched(
    simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    from simssl.launch import run

    file = small()
    assert simssl("run", file).exit_code == 0
    monkeypatch.setattr("simssl.launch.grid.is_done", lambda *_: False)
    monkeypatch.setattr(run, "_train_and_measure", None)
    result = simssl("run", file)
    assert result.exit_code == 0
    assert "is done already" in result.stderr


def test_fresh_takes_what_was_trained_since_it_began(simssl: Command, small: Write) -> None:
    file = small()
    assert simssl("run", file).exit_code == 0
    (folder,) = Path("runs/small").iterdir()
    with held(folder, 0.5):
        assert simssl("run", file, "--fresh").exit_code == 0
    assert len(list(Path("runs/small/.old").iterdir())) == 1
    with held(folder, 0.5, lambda: (folder / "checkpoint.pt").touch()):
        result = simssl("run", file, "--fresh")
    assert result.exit_code == 0
    assert "is done already" in result.stderr
    assert len(list(Path("runs/small/.old").iterdir())) == 1


def test_it_can_be_stopped_while_it_waits(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    file = small()
    (folder, *_) = folders(simssl, file)

    def stopped(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", stopped)
    with held(folder, 0.5):
        assert simssl("run", file).exit_code == 130
