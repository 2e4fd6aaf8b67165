"""What `torchrun` tells a process that it starts, in the environment."""

from __future__ import annotations

import os
import time

TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


SECONDS = 3.0
"""The time in which the first process tells an error that all have."""


def processes() -> int:
    """The number of processes that are to train together; 1 without torchrun."""
    told = all(name in os.environ for name in TOLD)
    return _number("WORLD_SIZE") if told else 1


def is_first() -> bool:
    """True if the process is the one that writes and speaks."""
    return processes() == 1 or _number("RANK") == 0


def number_on_its_host() -> int:
    """The number of the process among those of its host, from 0."""
    return _number("LOCAL_RANK")


def attempt() -> int:
    """The number of times that torchrun has started the processes again. It keeps one store for all of them."""
    return _number("TORCHELASTIC_RESTART_COUNT")


def _number(name: str) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else 0


def let_first_speak() -> None:
    """Wait a moment in a process that is not the first one, before it tells an error.

    It is most often the first one's error, too, as one in the experiment file: torchrun then ends this process.
    """
    if not is_first():
        time.sleep(SECONDS)
