"""The versions of simssl that a plugin is for, the changes that break plugins, and the text of `simssl --version`."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simssl.version import API_VERSION, __version__


@dataclass(frozen=True)
class Change:
    """A change of `simssl.api`, of a hook or of `simssl.blocks` that breaks plugins."""

    since: str
    """The first version of simssl that has it."""
    what: str
    """One sentence: what was, what is instead, and what an author does about it."""


CHANGES: tuple[Change, ...] = (
    Change(
        "0.1.0",
        "simssl.blocks has a folder for each idea, and names that say more: import from simssl.blocks.networks, "
        ".losses, .images, .probes and .statistics, as docs/blocks.md lists them.",
    ),
    Change("0.1.0", "simssl.training.distributed is simssl.blocks.distributed."),
    Change(
        "0.1.0",
        "Objective.views is a class attribute: where the views depend on the parameters, define the class method "
        "views_for(params) in place of a property.",
    ),
)
"""All changes so far, in order. `simssl.version.API_VERSION` is 1 and one for each of them."""


def requirement(requires: Sequence[str]) -> str:
    """Return the specifier of simssl, such as ">=0.1,<0.2", among all that a distribution requires.

    It is "" if no version is required. Lines that cannot be parsed, and those of extras, do not count.
    """
    lines = [line for line in requires if line[:6].lower() == "simssl"]
    if not lines:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    clauses: set[str] = set()
    for line in lines:
        try:
            parsed = Requirement(line)
        except InvalidRequirement:
            continue
        if parsed.name.lower() != "simssl":
            continue
        if parsed.marker is None or parsed.marker.evaluate({"extra": ""}):
            clauses.update(map(str, parsed.specifier))
    return ",".join(sorted(clauses, reverse=True))


def shortcoming(specifier: str, version: str | None = None) -> str | None:
    """Return the reason why a version of simssl (the installed one) is not what a plugin requires; None if it is."""
    if not specifier:
        return None
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    here = Version(version or __version__)
    wanted = SpecifierSet(specifier, prereleases=True)
    if here in wanted:
        return None
    bounds = [clause.version.removesuffix(".*") for clause in wanted]
    newest = max(map(Version, bounds))
    broken = []
    for change in CHANGES:
        since = Version(change.since)
        if newest <= since <= here and since not in wanted:
            broken.append(f"{change.since}: {change.what}")
    reason = f"it requires simssl{specifier}, and this is {here} (simssl.api {API_VERSION})"
    if broken:
        reason += f"; what has changed for plugins since: {' '.join(broken)}"
    return reason


def versions() -> str:
    """Return the versions of simssl, of `simssl.api`, of Python, of torch, and of the CUDA that torch is for."""
    python = platform.python_version()
    ours = f"simssl {__version__} (simssl.api {API_VERSION}), Python {python}"
    try:
        torch = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        return f"{ours}, torch is not installed"
    version, *_ = torch.version.split("+")
    return f"{ours}, torch {version}, {_cuda(torch)}"


def _cuda(torch: importlib.metadata.Distribution) -> str:
    """The version of CUDA, from the text of torch/version.py, where torch's build leaves it."""
    file = Path(str(torch.locate_file("torch/version.py")))
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        return f"CUDA unknown: {error.filename} cannot be read"
    line = re.search(r"^cuda\b[^=\n]*= *'([^'\n]+)'", text, re.M)
    return f"CUDA {line[1]}" if line else "without CUDA"
