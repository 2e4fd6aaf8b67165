"""A check, and its outcome when a plugin is put to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Check = Callable[[Any, Path], None]
"""A function that takes a plugin's class and an empty folder. It raises AssertionError, with a sentence, if the plugin
does not pass, and DoesNotApply if the plugin offers nothing to check. Its name is the check's; its docstring says what
the check asks."""


class DoesNotApply(Exception):
    """The plugin does not offer, or this machine does not have, what the check is about. The message names it."""


class FailsAsDeclared(Exception):
    """The plugin fails a check of its `expected_failures`. The message is the reason that it gives there."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one check. `expected` is a failure that the plugin declares; `reason` is empty only for `ok`."""

    check: str
    status: Literal["ok", "FAILED", "expected", "skipped"]
    reason: str = ""
