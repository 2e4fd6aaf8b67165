"""Files in folders that others can write to, too. A link there leads nowhere, and no file is too long to read.

A link in such a folder may point to any file of the user's. So nothing is written through one below the folder.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from simssl.errors import RunError


def write_whole(path: Path, content: bytes, root: Path | None = None) -> None:
    """Write a file whole. If that cannot be done, the file stays as it was before; RunError says why.

    Folders that are missing are made. What lies at `path` is replaced, even a link. `root` is a folder around it: a
    link between the two is not followed. It is the file's own folder if it is left out.
    """
    try:
        with _opened(path.parent, root or path.parent) as folder:
            _write(path.name, content, folder)
    except OSError as error:
        raise RunError(
            f"{path} cannot be written ({error.strerror}); make room or mend it, then give the same command again"
        ) from error


def _write(name: str, content: bytes, folder: int) -> None:
    """Write a file in an open folder, under a fresh name first."""
    part = f"{secrets.token_hex(8)}{PART}"
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666, dir_fd=folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(part, dir_fd=folder)
        raise


PART = ".part"
"""The end of the name of a file that is being written, after 16 digits."""


def remove_parts(root: Path) -> None:
    """Remove what writers that were killed have left below a folder. Nobody may be writing there."""
    for part in root.rglob(f"{'[0-9a-f]' * 16}{PART}"):
        with suppress(OSError):
            part.unlink()


def remove_folder(path: Path, root: Path) -> None:
    """Remove a folder below `root` with all that is in it, if it is there. Links are not followed."""
    with suppress(OSError), _opened(path.parent, root) as around:
        shutil.rmtree(path.name, dir_fd=around)


@contextmanager
def _opened(path: Path, root: Path) -> Iterator[int]:
    """Open a folder at or below `root`, step by step. Folders that are missing are made. RunError names a link."""
    root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    so_far = root
    try:
        for name in path.relative_to(root).parts:
            so_far /= name
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=descriptor)
            if so_far.is_symlink():
                raise RunError(f"{so_far} is a link, and nothing is written through links there; put a folder instead")
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)


def open_own(path: Path) -> int:
    """Open a file to read and write, made if it is missing. OSError if it is a link, or no file of this name alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a link, and links are not written through", str(path)) from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file, or has another name, too", str(path))
    return descriptor


def open_to_append(folder: Path, name: str) -> TextIO:
    """Open a text file in a run's folder, to write at its end.

    RunError if the name leads out of the folder, or the file is a link or has another name, too.
    """
    path = folder / name
    if path.parent != folder:
        raise RunError(f"'{name}' is not the name of a file in {folder}")
    try:
        file = os.fdopen(open_own(path), "r+", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}); remove it") from error
    file.seek(0, os.SEEK_END)
    return file


def read_within(path: Path, most: int) -> bytes:
    """Return the content of a file of at most so many bytes. OSError if it is longer, or is no file, such as a pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no file", str(path))
        if status.st_size > most:
            raise OSError(errno.EFBIG, f"it has {status.st_size:,} bytes, and {most:,} are the most", str(path))
        return file.read()
