"""The role of a number: whether it measures content or style."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.report.runs import Run
from simssl.store.metrics import ROLES, label_of


def role_of(key: str, run: Run) -> str | None:
    """Return whether a metric measures content or style, or None if that is not known.

    Its protocol says so; if not, its target does. An evaluator's summary has the role that all of its targets share.
    A target of another data set has the role that the protocol says, and no other.
    """
    protocol = run.metrics[key]["protocol"]
    role = protocol.get("role")
    if role in ROLES:
        return str(role)
    if "role" in protocol and protocol.get("measured_on"):
        return None
    label, *targets, _ = key.split("/")
    if targets:
        return _role_of_target(targets, run)

    roles = set()
    for other, entry in run.metrics.items():
        if label_of(other) != label or "value" not in entry:
            continue
        of_target = other.count("/") > 1
        if of_target:
            roles.add(role_of(other, run))
    return roles.pop() if len(roles) == 1 else None


def _role_of_target(parts: Sequence[str], run: Run) -> str | None:
    """The role of the first part of a target's name that has one. A part that is called a role has it."""
    for part in parts:
        if part in run.roles:
            return run.roles[part]
        if part in ROLES:
            return part
    return None
