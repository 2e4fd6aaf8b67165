"""The installed plugins as a list, for `simssl plugins`; imports them only to check them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from simssl.errors import UserError
from simssl.plugin.registry import BrokenPlugin, Plugin, Registry
from simssl.plugin.versions import shortcoming

Suite = Callable[[str, type[Any]], Iterable[Any]]
"""The conformance suite: the outcomes (dataclasses with `check`, `status` and `reason`) of a plugin class of a kind."""


def rows(registry: Registry, check: bool, suite: Suite, names: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One row a plugin: kind, name, distribution, version, the versions of simssl that it requires, module; status
    and reason where they are known.

    `names` are of plugins, or of distributions for all of theirs. With `check` each is imported; those that are named
    are put to the conformance suite, too, and their rows have `checks`. UserError if nothing has such a name.
    """
    if names:
        named = _named(registry, names)
        return [_row(plugin, registry, check, suite if check else None) for plugin in named]
    listed = [_row(plugin, registry, check) for plugin in registry.plugins()]
    broken = {"kind": "?", "name": "?", "version": "?", "requires": "", "module": "?", "status": "BROKEN"}
    for folder, reason in registry.unreadable.items():
        listed.append(broken | {"distribution": folder, "reason": reason})
    return listed


def _named(registry: Registry, names: Sequence[str]) -> list[Plugin]:
    installed = registry.plugins()
    known = {name for plugin in installed for name in (plugin.name, plugin.distribution)}
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            guess = f"did you mean '{near[0]}'?" if near else "`simssl plugins` lists what is installed"
            raise UserError(f"no plugin or distribution is called '{name}'; {guess}")
    return [plugin for plugin in installed if {plugin.name, plugin.distribution} & set(names)]


def _row(plugin: Plugin, registry: Registry, check: bool, suite: Suite | None = None) -> dict[str, Any]:
    row = {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "requires": f"simssl{plugin.requires}" if plugin.requires else "",
        "module": plugin.module,
    }
    if (plugin.kind, plugin.name) in registry.conflicts():
        return row | {"status": "CONFLICT", "reason": "more than one distribution provides this name"}
    if reason := shortcoming(plugin.requires):
        return row | {"status": "BROKEN", "reason": str(BrokenPlugin(plugin, reason))}
    if not check:
        return row
    try:
        loaded = registry.load(plugin.kind, plugin.name)
    except UserError as error:
        return row | {"status": "BROKEN", "reason": str(error)}
    if suite is None:
        return row | {"status": "ok"}
    checks = [asdict(outcome) for outcome in suite(plugin.kind, loaded)]
    failed = any(check["status"] == "FAILED" for check in checks)
    return row | {"status": "FAILED" if failed else "ok", "checks": checks}


def as_json(listed: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(listed, indent=2)


def as_text(listed: list[dict[str, Any]]) -> str:
    """Aligned columns; the reason of what is wrong, and the checks of the suite, below its row."""
    columns = ("kind", "name", "distribution", "version", "requires", "module", "status")
    table = [columns, *(tuple(str(row.get(column, "")) for column in columns) for row in listed)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    lines = []
    for line, row in zip(table, [{}, *listed], strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if "reason" in row:
            lines.append(f"    {row['reason']}")
        for check in row.get("checks", ()):
            lines.append(f"    {check['status']:8}  {check['check']}")
            if check["reason"]:
                lines.append(f"{'':14}{check['reason']}")
    return "\n".join(lines)
