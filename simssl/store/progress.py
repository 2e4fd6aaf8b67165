"""progress.json: what a run is doing. The process that works on the run writes it now and then, and at its end.

It says nothing that a run needs to go on, and a run that has none is as good as another.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simssl.blocks.files import read_within
from simssl.errors import RunError, SimsslError
from simssl.store.folder import RunFolder

MOST = 1_000_000
"""Most bytes of the record that are read. Those that simssl writes have hundreds."""

JOB = "SIMSSL_JOB"
"""The environment variable in which a task of a cluster finds its job: the cluster and the job's number."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, lt=1e11, allow_inf_nan=False)]
"""Seconds since 1970."""
Text = Annotated[str, Field(max_length=10_000)]

State = Literal["queued", "running", "stopped", "failed", "done"]


class Job(BaseModel):
    """A task that a cluster has been given, by its number there."""

    model_config = ConfigDict(frozen=True, strict=True)

    cluster: Literal["slurm", "local"]
    number: Annotated[str, Field(pattern=r"^[0-9]{1,18}(_[0-9]{1,18})?$")]


class Progress(BaseModel):
    """What a run is doing, as the process that works on it wrote it down."""

    model_config = ConfigDict(frozen=True, strict=True)

    state: State
    host: Text
    process: Count
    at: Seconds
    """The time of the record."""
    since: Seconds
    """The time since when the process works on it."""
    step: Count = 0
    steps: Count = 0
    ends: Seconds | None = None
    """The time at which the training will end, estimated from its recent speed."""
    measuring: bool = False
    """True if the training stands still, and is measured."""
    message: Text = ""
    """The sentence of what it failed with."""
    job: Job | None = None
    evaluators: list[dict[str, Any]] = []
    """The evaluators that have measured it, with all their parameters, once it is done."""
    stamp: tuple[Count, Count] | None = None
    """Time and size of the metrics.json in which their numbers stand. Another one has to be read itself."""


def progress_now(state: State, **values: Any) -> Progress:
    """Return the record of a run that this process works on."""
    now = time.time()
    record = {"host": socket.gethostname(), "process": os.getpid(), "at": now, "since": now, "job": this_job()}
    return Progress(state=state, **{**record, **values})


def this_job() -> Job | None:
    """Return the cluster's job that this process belongs to; None if it is none that simssl has submitted."""
    cluster, _, number = os.environ.get(JOB, "").partition(" ")
    with suppress(ValidationError):
        return Job.model_validate({"cluster": cluster, "number": number})
    return None


def write_progress(folder: RunFolder, progress: Progress) -> None:
    """Write the record whole. RunError if it cannot be written."""
    text = progress.model_dump_json(indent=2)
    folder.write(folder.progress, f"{text}\n".encode())


def read_progress(folder: RunFolder) -> Progress | None:
    """Return the record, or None if there is none. RunError if it is damaged."""
    try:
        return Progress.model_validate_json(read_within(folder.progress, MOST))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"{folder.progress} cannot be read ({error.strerror})") from error
    except (ValidationError, RecursionError) as error:
        raise RunError(f"{folder.progress} is damaged; the next simssl run writes it anew") from error


def note_failure(folder: RunFolder, message: str) -> None:
    """Write down what a run failed with, unless another process works on it by now, or nothing can be written."""
    before: Progress | None = None
    with suppress(RunError):
        before = read_progress(folder)
    steps = {"step": before.step, "steps": before.steps} if before else {}
    with suppress(SimsslError), folder.locked():
        write_progress(folder, progress_now("failed", message=message[:10_000], **steps))


def stamp_of(folder: RunFolder) -> tuple[int, int] | None:
    """Return time and size of metrics.json; None if there is none."""
    try:
        status = os.stat(folder.metrics)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def fits(asked: Mapping[str, Any], made_by: Mapping[str, Any]) -> bool:
    """True if an evaluator as a file asks for it is this one, which has all its parameters filled in."""
    return all(key in made_by and _alike(value, made_by[key]) for key, value in asked.items())


def _alike(asked: Any, made_by: Any) -> bool:
    if isinstance(asked, Mapping) and isinstance(made_by, Mapping):
        return fits(asked, made_by)
    return bool(asked == made_by)
