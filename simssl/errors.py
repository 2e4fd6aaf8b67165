"""The errors that reach a user, each with the exit code of the command that ends in it."""

import traceback
from collections.abc import Sequence


class SimsslError(Exception):
    """An error whose message is a sentence for the user: what is wrong, where, and what to do."""

    exit_code = 1


class UserError(SimsslError):
    """The user's input is wrong: the file, an option, missing data, a broken plugin that the file names."""

    exit_code = 2


class RunError(SimsslError):
    """A run failed: not-a-number, a corrupt checkpoint, a full disk."""


class RunHeld(RunError):
    """Another process is working on the run."""


def one_line(error: BaseException, near: Sequence[str] = ()) -> str:
    """An unexpected error in one line, with the innermost place in a file: of those in `near`, files and folders
    around files, if it passed one of them."""
    lines = [line.strip() for line in str(error).splitlines()]
    text, place = next(filter(None, lines), "no message"), _place(error, near)
    if isinstance(error, SyntaxError) and error.filename:
        text, place = error.msg, f" ({error.filename}:{error.lineno})"
    return f"{type(error).__name__}: {text}{place}"


def _place(error: BaseException, near: Sequence[str]) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<frozen")]
    within = [f for f in frames if any(f.filename == path or f.filename.startswith(f"{path}/") for path in near)]
    innermost = (within or frames)[-1:]
    return "".join(f" ({frame.filename}:{frame.lineno})" for frame in innermost)


class Interrupted(BaseException):
    """SIGINT or SIGTERM arrived. Not an Exception, so that no plugin's guard swallows it."""

    def __init__(self, signum: int, message: str = "what was finished is saved") -> None:
        super().__init__(f"interrupted: {message}; the same command (without --fresh) goes on from there")
        self.exit_code = 128 + signum
