"""What a check comes to when a plugin is put to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Check = Callable[[Any, Path], None]
"""Takes a plugin's class and an empty folder; raises AssertionError, with a sentence, if the plugin does not pass, and
DoesNotApply if it offers nothing to check. Its name is the function's; its docstring says what it asks."""


class DoesNotApply(Exception):
    """The plugin does not offer, or this machine does not have, what the check is about; the message says what."""


class FailsAsDeclared(Exception):
    """The plugin fails a check of its `expected_failures`; the message is the reason that it gives there."""


@dataclass(frozen=True)
class Outcome:
    """`expected` is a failure that the plugin declares; `reason` says why, of all but `ok`."""

    check: str
    status: Literal["ok", "FAILED", "expected", "skipped"]
    reason: str = ""
