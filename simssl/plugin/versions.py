"""Versions: those of simssl that a plugin is for, what has changed for plugins, and what `simssl --version` prints."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import simssl
from simssl import API_VERSION


@dataclass(frozen=True)
class Change:
    """A change of `simssl.api`, of a hook or of `simssl.blocks` that breaks plugins."""

    since: str
    """The first version of simssl that has it."""
    what: str
    """What was, what is instead, and what an author does about it, in a sentence."""


CHANGES: tuple[Change, ...] = (
    Change(
        "0.1.0",
        "simssl.blocks has a folder for each idea: import from simssl.blocks.networks, .losses, .images, .probes and "
        ".statistics.",
    ),
    Change("0.1.0", "simssl.training.distributed is simssl.blocks.distributed."),
    Change(
        "0.1.0",
        "Objective.views is a class attribute: where the views depend on the parameters, define the class method "
        "views_for(params) in place of a property.",
    ),
)
"""What has changed so far, in order. Their number makes `simssl.API_VERSION`."""


def requirement(requires: Sequence[str]) -> str:
    """What a distribution requires of simssl, of all that it requires: a specifier such as ">=0.1,<0.2".

    "" if it requires no version. Lines that cannot be parsed, and those of extras, do not count.
    """
    found = [text for text in requires if text[:6].lower() == "simssl"]
    if not found:
        return ""
    from packaging.requirements import InvalidRequirement, Requirement

    specifiers = []
    for text in found:
        try:
            parsed = Requirement(text)
        except InvalidRequirement:
            continue
        if parsed.name.lower() == "simssl" and (parsed.marker is None or parsed.marker.evaluate({"extra": ""})):
            specifiers.append(parsed.specifier)
    clauses = sorted({str(clause) for specifier in specifiers for clause in specifier}, reverse=True)
    return ",".join(clauses)


def shortcoming(specifier: str, version: str | None = None) -> str | None:
    """Why this version of simssl (the one that is installed) is not what a plugin requires, or None if it is."""
    if not specifier:
        return None
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    here, wanted = Version(version or simssl.__version__), SpecifierSet(specifier, prereleases=True)
    if here in wanted:
        return None
    bounds = [Version(clause.version.removesuffix(".*")) for clause in wanted]
    broken = [
        f"{change.since}: {change.what}"
        for change in CHANGES
        if max(bounds) <= Version(change.since) <= here and Version(change.since) not in wanted
    ]
    since = f"; what has changed for plugins since: {' '.join(broken)}" if broken else ""
    return f"it requires simssl{specifier}, and this is {here} (simssl.api {API_VERSION}){since}"


def versions() -> str:
    """The versions of simssl, of what plugins are written against, of Python, torch and the CUDA that torch is for."""
    ours = f"simssl {simssl.__version__} (simssl.api {API_VERSION}), Python {platform.python_version()}"
    try:
        torch = importlib.metadata.distribution("torch")
    except importlib.metadata.PackageNotFoundError:
        return f"{ours}, torch is not installed"
    return f"{ours}, torch {torch.version.partition('+')[0]}, {_cuda(torch)}"


def _cuda(torch: importlib.metadata.Distribution) -> str:
    """From the text of torch/version.py, where the build leaves it."""
    try:
        text = Path(str(torch.locate_file("torch/version.py"))).read_text(encoding="utf-8")
    except OSError as error:
        return f"CUDA unknown: {error.filename} cannot be read"
    line = re.search(r"^cuda\b[^=\n]*= *'([^'\n]+)'", text, re.M)
    return f"CUDA {line[1]}" if line else "without CUDA"
