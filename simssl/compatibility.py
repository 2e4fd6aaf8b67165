"""Which versions of simssl a plugin was written for, and what has changed for plugins since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import simssl


@dataclass(frozen=True)
class Change:
    """A change of `simssl.api`, of a hook or of `simssl.blocks` that breaks plugins."""

    since: str
    """The first version of simssl that has it."""
    what: str
    """What was, what is instead, and what an author does about it, in a sentence."""


CHANGES: tuple[Change, ...] = ()
"""The changes so far, in their order."""

API_VERSION = 1 + len(CHANGES)
"""The version of `simssl.api`: raised by each change that breaks plugins, and by nothing else."""


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
