"""The folders of the runs below a folder, through links too."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from simssl.store.folder import RunFolder


def find(path: Path) -> tuple[list[Path], list[str]]:
    """The folders of the runs below a folder that were begun, each once, and a sentence for what is out of reach.

    These are the runs with metrics, and those that something still locks or has locked, with their experiment written
    down. Hidden folders are passed over. Links to folders are followed, last, but for those inside of a run.
    """
    begun = []
    out_of_reach: list[str] = []
    seen = set()
    to_visit = deque([path])
    while to_visit:
        folder = to_visit.pop()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        is_run = _is_begun(folder)
        if is_run:
            begun.append(folder)
        try:
            inner, links = _inside(folder)
        except OSError as error:
            out_of_reach.append(f"left out: {folder} cannot be read ({error.strerror})")
            continue
        to_visit.extend(inner)
        if not is_run:
            followed, dead = _targets(links, real)
            to_visit.extendleft(followed)
            out_of_reach += dead
    return sorted(begun), sorted(out_of_reach)


def _is_begun(path: Path) -> bool:
    folder = RunFolder(path)
    if folder.metrics.exists():
        return True
    return (path / ".lock").exists() and folder.experiment.is_file()


def _inside(folder: Path) -> tuple[list[Path], list[Path]]:
    """The visible folders in a folder, and the visible links."""
    folders = []
    links = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                links.append(folder / entry.name)
            elif entry.is_dir():
                folders.append(folder / entry.name)
    return folders, links


def _targets(links: list[Path], holder: str) -> tuple[list[Path], list[str]]:
    """The links that lead to folders, and sentences for those that lead nowhere.

    `holder` is the real path of the folder that they are in. Those that lead back to it, or above it, are passed over.
    """
    folders = []
    dead = []
    for link in links:
        real = os.path.realpath(link)
        leads_back = Path(holder).is_relative_to(real)
        if not link.exists():
            dead.append(f"left out: {link} is a link to {os.readlink(link)}, which is not there")
        elif link.is_dir() and not leads_back:
            folders.append(link)
    return folders, dead
