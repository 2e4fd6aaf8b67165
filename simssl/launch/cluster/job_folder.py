"""The folders of submitit's files. They hold pickles, and lie apart from the runs."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

from simssl.errors import UserError


def new_job_folder(name: str, file: Path) -> Path:
    """Return a new folder for submitit's files, with a copy of the experiment file, which may change meanwhile.

    submitit's files are pickles, which run code when they are read. So nobody else may write there.
    """
    home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    state = home / "simssl"
    try:
        for folder in (state, state / "cluster"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _require_own(folder)
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=state / "cluster"))
        shutil.copyfile(file, made / file.name)
    except OSError as error:
        raise UserError(
            f"{state} cannot be written ({error.strerror}); XDG_STATE_HOME names another place, which all nodes see"
        ) from error
    return made


def _require_own(folder: Path) -> None:
    """UserError if the folder is another user's or a link, or others may use it."""
    owned = os.lstat(folder)
    if not stat.S_ISDIR(owned.st_mode) or owned.st_uid != os.getuid():
        raise UserError(
            f"{folder} is a link or another user's, and pickles are not put there; remove it, or name "
            "another place with XDG_STATE_HOME"
        )
    if owned.st_mode & 0o077:
        raise UserError(f"{folder} is open to others, and pickles are not put there: chmod 700 {folder}")
