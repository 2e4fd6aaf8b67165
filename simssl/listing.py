"""The installed plugins as a list, for `simssl plugins`; imports them only to check them."""

from __future__ import annotations

from typing import Any

from simssl.compatibility import shortcoming
from simssl.errors import UserError
from simssl.registry import BrokenPlugin, Plugin, Registry


def rows(registry: Registry, check: bool) -> list[dict[str, Any]]:
    """One row a plugin: kind, name, distribution, version, the versions of simssl that it requires, module; status
    and reason where they are known."""
    plugins = [_row(plugin, registry, check) for plugin in registry.plugins()]
    broken = {"kind": "?", "name": "?", "version": "?", "requires": "", "module": "?", "status": "BROKEN"}
    unreadable = registry.unreadable.items()
    return plugins + [broken | {"distribution": folder, "reason": reason} for folder, reason in unreadable]


def _row(plugin: Plugin, registry: Registry, check: bool) -> dict[str, Any]:
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
        registry.load(plugin.kind, plugin.name)
    except UserError as error:
        return row | {"status": "BROKEN", "reason": str(error)}
    return row | {"status": "ok"}


def as_json(listed: list[dict[str, Any]]) -> str:
    import json

    return json.dumps(listed, indent=2)


def as_text(listed: list[dict[str, Any]]) -> str:
    """Aligned columns; the reason of what is wrong below its row."""
    columns = ("kind", "name", "distribution", "version", "requires", "module", "status")
    table = [columns, *(tuple(str(row.get(column, "")) for column in columns) for row in listed)]
    widths = [max(len(line[i]) for line in table) for i in range(len(columns))]
    lines = []
    for line, row in zip(table, [{}, *listed], strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if "reason" in row:
            lines.append(f"    {row['reason']}")
    return "\n".join(lines)
