"""The queues of clusters: which jobs have not ended there."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

PATIENCE = 10.0
"""Seconds for which Slurm is waited for."""


def in_queue(jobs: Iterable[tuple[str, str]]) -> dict[str, bool | None]:
    """Return whether jobs have not ended yet, each by its name, such as "slurm 12_3"; None where that is not known.

    A job comes with the machine that it was submitted on.
    """
    hosts = dict(jobs)
    slurm = _in_slurm() if any(job.startswith("slurm ") for job in hosts) else None
    known: dict[str, bool | None] = {}
    for job, host in hosts.items():
        cluster, _, number = job.partition(" ")
        if cluster == "local":
            known[job] = _is_alive(number) if host == socket.gethostname() else None
        else:
            known[job] = None if slurm is None else number in slurm
    return known


def _is_alive(number: str) -> bool:
    """True if a process of submitit's has this number."""
    try:
        command = Path("/proc", number, "cmdline").read_bytes()
    except OSError:
        return False
    return b"submitit" in command


def _in_slurm() -> set[str] | None:
    """The numbers of the user's jobs in Slurm's queue, tasks of arrays one by one; None if it cannot be asked."""
    squeue = shutil.which("squeue")
    if squeue is None:
        return None
    command = [squeue, "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(re.findall(r"^[0-9]+(?:_[0-9]+)?$", answer.stdout, re.MULTILINE))
