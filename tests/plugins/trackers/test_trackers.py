"""Trackers: lines and events of a real run."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import Result
from simssl_plugins.trackers import console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

NextCommand = Callable[[], None]
PowerCut = Callable[[int], AbstractContextManager[None]]

BOTH = [{"name": "console", "seconds": 1e-6}, {"name": "tensorboard"}]


def events(run: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    return accumulator


def test_tensorboard_has_the_terms_the_metrics_and_the_pictures(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    evaluators = [{"name": "knn"}, {"name": "reconstruction"}]
    assert simssl("run", small(trackers=BOTH, evaluators=evaluators)).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    recorded = events(run)
    scalars = set(recorded.Tags()["scalars"])
    assert {"_training/loss", "_training/reconstruction", "_training/entropy", "_training/prior"} <= scalars
    assert {"knn/class/accuracy", "reconstruction/mse", "reconstruction/nll"} <= scalars
    assert [event.step for event in recorded.Scalars("_training/loss")] == [5, 10, 15, 20, 25, 30]
    assert recorded.Tags()["images"] == ["reconstruction/test"]


def test_steps_stand_once_after_a_resumption(
    simssl: Callable[..., Result],
    small: Callable[..., Path],
    power_cut: PowerCut,
    next_command: NextCommand,
) -> None:
    training = {"views": 1800, "batch_views": 60, "log_every": 5, "checkpoint_seconds": 0}
    file = small(trackers=BOTH, training=training)
    with power_cut(18):
        assert simssl("run", file).exit_code == 1
    next_command()
    result = simssl("run", file)
    assert result.exit_code == 0
    assert "goes on after step 15 of 30" in result.stderr
    (run,) = Path("runs/small").iterdir()
    assert [event.step for event in events(run).Scalars("_training/loss")] == [5, 10, 15, 20, 25, 30]


def test_steps_stand_once_after_a_kill_before_the_first_checkpoint(
    simssl: Callable[..., Result],
    small: Callable[..., Path],
    power_cut: PowerCut,
    next_command: NextCommand,
) -> None:
    file = small(trackers=BOTH, training={"views": 1800, "batch_views": 60, "log_every": 5})
    with power_cut(18):
        assert simssl("run", file).exit_code == 1
    next_command()
    assert simssl("run", file).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    assert [event.step for event in events(run).Scalars("_training/loss")] == [5, 10, 15, 20, 25, 30]


def test_a_narrow_terminal_shows_bar_share_and_eta(small: Callable[..., Path]) -> None:
    """In a pseudo-terminal of 60 columns."""
    import fcntl
    import os
    import pty
    import struct
    import subprocess
    import sys
    import termios

    training = {"views": 45_000, "batch_views": 60, "log_every": 100_000}
    file = small(trackers=[{"name": "console"}], training=training)
    main, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "simssl", "run", str(file), "--runs", str(file.parent / "runs")]
    process = subprocess.Popen(command, stdout=child, stderr=child, env=environment)
    os.close(child)
    written = b""
    while True:
        try:
            chunk = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        written += chunk
    assert process.wait(timeout=60) == 0
    text = written.decode()
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in text
    assert re.search(r"\d\d%", text)
    before_the_end = text.partition("trained in")[0]
    assert re.search(r"0:00:0\d", before_the_end)
    assert re.search(r"[1-9]\d*/750 ", before_the_end)
    assert "views/s" in before_the_end


def test_console_prints_plain_lines_where_there_is_no_terminal(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    result = simssl("run", small(trackers=BOTH))
    assert "step 5/30 17%  loss " in result.stderr
    assert "views/s" in result.stderr
    assert "0:00:00 left" in result.stderr
    assert "knn: class/accuracy 0." in result.stderr
    assert "\x1b" not in result.stderr


def test_console_does_not_wait_for_a_record_of_the_terms(
    simssl: Callable[..., Result],
    small: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "LOOK", 0.001)
    training = {"views": 12_000, "batch_views": 60, "log_every": 10_000}
    result = simssl("run", small(trackers=BOTH, training=training))
    before_the_end = result.stderr.partition("trained in")[0]
    assert re.search(r"step [1-9]\d*/200 \d+%  [\d,]+ views/s  0:00:0\d left", before_the_end)


def test_plain_lines_come_at_most_every_few_seconds(
    simssl: Callable[..., Result],
    small: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "LOOK", 0.001)
    result = simssl("run", small(trackers=[{"name": "console", "seconds": 60}]))
    assert "step" not in result.stderr


def test_the_bar_counts_down_while_a_slow_step_is_under_way() -> None:
    pace = console.Pace(0, now=0.0)
    assert pace.left(10, now=1.0) is None
    pace.add(1, now=9.0)  # the first step loads libraries
    pace.add(2, now=11.0)
    pace.add(2, now=12.0)
    assert pace.rate == 0.5
    assert pace.left(10, now=12.0) == 15.0
    assert pace.left(10, now=13.0) == 14.0


def test_a_loss_of_one_term_is_told_once(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    text = simssl("run", small(objective={"name": "simclr"}, trackers=BOTH)).stderr
    assert "nt_xent " in text
    assert "loss " not in text


def test_tensorboard_opens_on_the_loss(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    """It shows groups by name, and `_` before letters."""
    simssl("run", small(trackers=BOTH, evaluators=[{"name": "attributes", "epochs": 1}]))
    (run,) = Path("runs/small").iterdir()
    groups = {tag.partition("/")[0] for tag in events(run).Tags()["scalars"]}
    assert groups == {"_training", "attributes"}


def test_the_speed_is_that_of_the_last_half_minute() -> None:
    pace = console.Pace(0, now=0.0)
    for second in range(1, 201):
        pace.add(second if second <= 100 else 100 + 3 * (second - 100), now=float(second))
    assert pace.rate == pytest.approx(3.0)


def test_a_finished_run_does_not_go_on(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    simssl("run", small(trackers=BOTH))
    (run,) = Path("runs/small").iterdir()
    result = simssl("evaluate", run, "-e", "collapse")
    assert result.exit_code == 0
    assert "goes on" not in result.stderr


@pytest.mark.parametrize("method", ["logged(self, step, terms)", "__init__(self, params)", "evaluated(self, *_)"])
def test_a_tracker_that_fails_is_detached(
    method: str,
    simssl: Callable[..., Result],
    small: Callable[..., Path],
    package: Callable[..., Path],
) -> None:
    code = f"""
        import simssl
        from simssl.api import Tracker

        class Clumsy(Tracker):
            '''Stumbles once.'''
            def {method}:
                raise ValueError("oops")

        @simssl.hookimpl
        def simssl_tracker():
            return Clumsy
    """
    package("clumsy-dist", f"clumsy_{method.split('(')[0]}", code, tracker="clumsy")
    result = simssl("run", small(trackers=[{"name": "clumsy"}]))
    assert result.exit_code == 0
    assert result.stderr.count("the tracker 'clumsy' failed and is detached: ValueError: oops") == 1
