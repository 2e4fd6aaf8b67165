"""A part of the measurement as a process group of its own: its rows, what else it says, its limit and its end.

A part writes one JSON object a line to its standard output: a row each, or {"skipped": REASON}. Other lines, and what
it writes to its standard error, are kept as what it said.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

LINES, CHARACTERS = 25, 300
"""What is kept of what a part says: so many lines from the end, and so much of each."""
POLL = 0.1
"""Seconds after which it is looked again whether a process has ended."""
GRACE = 1.0
"""Seconds in which a part that has ended may still be read, if another process holds its output open."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """What a part is called and about, its limit in seconds, and its command.

    The word UNTIL in its command stands for the moment at which its time is over, as `time.monotonic` counts.
    """

    name: str
    about: str
    limit: float
    command: tuple[str, ...]


@dataclass
class Measured:
    """What a part has come to so far."""

    part: Part
    status: str = "not begun"
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    said: deque[str] = field(default_factory=lambda: deque(maxlen=LINES))
    skipped: str = ""

    def take(self, line: str) -> bool:
        """Take a line of the standard output. True if it is a row."""
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            self.say(line)
            return False
        if "skipped" in row and "what" not in row:
            self.skipped = str(row["skipped"])
            return False
        self.rows.append(row)
        return True

    def say(self, line: str) -> None:
        """Take a line that is no row."""
        if line.strip():
            self.said.append(line.rstrip()[:CHARACTERS])

    def ended(self, code: int) -> None:
        """Take note that the part's process has ended with this exit code, or by the signal of a negative one."""
        failed = sum("error" in row for row in self.rows)
        if code < 0:
            self.status = f"failed: {signal.Signals(-code).name}"
        elif code:
            last = self.said[-1] if self.said else "nothing was said"
            self.status = f"failed: exit code {code} ({last})"
        elif self.skipped:
            self.status = f"skipped: {self.skipped}"
        elif failed:
            self.status = f"failed: {failed} of {len(self.rows)} rows"
        else:
            self.status = "ok"


def run(measured: Measured, allowed: float, environment: Mapping[str, str], row_came: Callable[[Row], None]) -> None:
    """Run the part for at most so many seconds. Its whole process group is dead when this returns or raises."""
    begun = time.monotonic()
    measured.status = "running"
    until = f"{begun + allowed:.1f}"
    command = [until if word == "UNTIL" else word for word in measured.part.command]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=dict(environment),
        )
    except OSError as error:
        measured.status = f"failed: {error}"
        return
    output = _Output(process, measured, row_came)
    try:
        in_time = output.read_until(begun + allowed)
    except BaseException:
        measured.status = "stopped"
        raise
    finally:
        _kill_group(process)
        output.read_what_is_there()
        output.close()
        code = process.wait()
        measured.seconds = time.monotonic() - begun
    if in_time:
        measured.ended(code)
    else:
        measured.status = f"killed after {allowed:.0f} s"


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended. It is not reaped, so that its number still is the group's."""
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, flags) is not None


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


class _Output:
    """The lines that a process writes, as they come."""

    def __init__(self, process: subprocess.Popen[bytes], measured: Measured, row_came: Callable[[Row], None]) -> None:
        assert process.stdout
        assert process.stderr
        self._process = process
        self._measured = measured
        self._row_came = row_came
        self._rows_from = process.stdout.fileno()
        self._begun_lines: dict[int, bytes] = {}
        self._selector = selectors.DefaultSelector()
        self._streams = (process.stdout, process.stderr)
        for stream in self._streams:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream.fileno(), selectors.EVENT_READ)
            self._begun_lines[stream.fileno()] = b""

    def read_until(self, deadline: float) -> bool:
        """Read until the process has ended, or until the deadline: False then."""
        ended_at = None
        while True:
            now = time.monotonic()
            if ended_at is None and _has_ended(self._process):
                ended_at = now
            if ended_at is not None and (not self._selector.get_map() or now > ended_at + GRACE):
                return True
            if ended_at is None and now >= deadline:
                return False
            if self._selector.get_map():
                self.read_what_is_there(min(POLL, max(0.0, deadline - now)))
            else:
                time.sleep(POLL / 10)

    def read_what_is_there(self, seconds: float = 0.0) -> None:
        """Read what there is, or what comes within the seconds."""
        while ready := self._selector.select(seconds):
            seconds = 0.0
            for key, _ in ready:
                self._read(key.fd)

    def _read(self, stream: int) -> None:
        data = os.read(stream, 65536)
        lines = (self._begun_lines[stream] + data).split(b"\n")
        self._begun_lines[stream] = lines.pop()
        if not data:
            self._selector.unregister(stream)
            lines = [self._begun_lines[stream]]
        for line in lines:
            self._take(stream, line.decode(errors="replace"))

    def _take(self, stream: int, line: str) -> None:
        if stream != self._rows_from:
            self._measured.say(line)
        elif self._measured.take(line):
            self._row_came(self._measured.rows[-1])

    def close(self) -> None:
        self._selector.close()
        for stream in self._streams:
            stream.close()
