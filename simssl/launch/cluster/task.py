"""One run as a task of a cluster: `simssl run FILE --only N` in a process of its own. Nothing here loads torch.

The process that the cluster starts gets the signals. It lets the run save its state, and has the task queued again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from simssl.store.folder import RunFolder
from simssl.store.progress import JOB, note_failure

if TYPE_CHECKING:
    from submitit.core.utils import DelayedSubmission

PATIENCE = 75.0
"""Seconds within which a run has to be saved. submitit asks for its signal 90 seconds before the end."""

SAVED = (128 + signal.SIGINT, 128 + signal.SIGTERM)
TOLD = (1, 2)
"""Exit codes of a run that has written down itself why it failed."""


@dataclass
class OneRun:
    """A run as a task. submitit pickles it, calls it where the cluster starts it, and calls `checkpoint` on its signal.

    `several` says that the run has several processes, each a task's; they find one another as under torchrun.
    """

    command: tuple[str, ...]
    folder: Path
    cluster: str
    several: bool

    def __post_init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def __call__(self) -> None:
        from submitit import JobEnvironment
        from submitit.helpers import TorchDistributedEnvironment

        job = JobEnvironment()
        if self.several:
            TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        self._signum = getattr(signal, f"SIG{job.USR_SIG}")
        self._requeue = signal.signal(self._signum, self._stop_and_requeue)
        environment = {**os.environ, JOB: f"{self.cluster} {job.job_id}"}
        self._process = subprocess.Popen(self.command, env=environment, preexec_fn=self._ignore_signal)
        code = self._process.wait()
        if code and not self._stopped:
            self._end(code)

    def checkpoint(self) -> DelayedSubmission:
        """What is queued again: the same run, which goes on from its saved state."""
        from submitit.core.utils import DelayedSubmission

        return DelayedSubmission(replace(self))

    def _ignore_signal(self) -> None:
        """Slurm sends its signal to all processes of a task. The run is told by this one."""
        signal.signal(self._signum, signal.SIG_IGN)

    def _stop_and_requeue(self, signum: int, frame: FrameType | None) -> None:
        self._stopped = True
        if self._process is not None:
            _stop(self._process.pid)
        requeue: Any = self._requeue  # submitit's: it ends this process, but where it is not the run's first
        requeue(signum, frame)

    def _end(self, code: int) -> None:
        """End as the run did. What it could not write down itself is written down."""
        if code < 0:
            name = signal.strsignal(-code)
            memory = ", as it is when memory runs out" if code == -signal.SIGKILL else ""
            note_failure(RunFolder(self.folder), f"its process was ended by signal {-code} ({name}{memory})")
        elif code not in (*SAVED, *TOLD):
            note_failure(RunFolder(self.folder), f"its process ended with exit code {code}")
        sys.exit(code if code > 0 else 1)


def _stop(pid: int) -> None:
    """Let a run save its state, and wait until its process has ended."""
    deadline = time.monotonic() + PATIENCE
    try:
        os.kill(pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            # not Popen.wait, whose lock may be held by what the signal has interrupted
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.05)
    except (ProcessLookupError, ChildProcessError):  # it has ended, and is not waited for any more
        return
