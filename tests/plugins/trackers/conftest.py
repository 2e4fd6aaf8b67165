"""What the tests of trackers share."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tensorboard.summary.writer import event_file_writer


@pytest.fixture
def next_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Waits for the next second, as a second command on a run begins in a later one.

    TensorBoard reads event files in the order of their names: second, host, process, and a counter of the process. They
    are compared as text: of one process and one second, number 10 comes before number 9, which is the first one here.
    """
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(9))
    return lambda: time.sleep(1 - time.time() % 1)
