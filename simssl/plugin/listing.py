"""The list that `simssl plugins` prints. Plugins are imported only to be checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from simssl.blocks.messages import nearest
from simssl.errors import UserError
from simssl.plugin.registry import KINDS, BrokenPlugin, Plugin, Registry
from simssl.plugin.versions import shortcoming

Row = dict[str, Any]
Suite = Callable[[str, type[Any]], Iterable[Any]]
"""The conformance suite. It takes a kind and a plugin's class, and gives outcomes: dataclasses with `check`, `status`
and `reason`."""


def rows(registry: Registry, check: bool, suite: Suite, names: Sequence[str] = ()) -> list[Row]:
    """Return one row for each plugin: kind, name, distribution, version, required versions of simssl, and module.

    Status and reason are added where they are known. `names` are of plugins; or of distributions, or kinds, for all of
    theirs.
    With `check` each is imported. Those that are named are put to the conformance suite, too, and their rows have
    `checks`. UserError if nothing has such a name.
    """
    if names:
        suite_if_checked = suite if check else None
        return [_row(plugin, registry, check, suite_if_checked) for plugin in _named(registry, names)]
    listed = [_row(plugin, registry, check) for plugin in registry.plugins()]
    broken = {"kind": "?", "name": "?", "version": "?", "requires": "", "module": "?", "status": "BROKEN"}
    for folder, reason in registry.unreadable.items():
        listed.append(broken | {"distribution": folder, "reason": reason})
    return listed


def _named(registry: Registry, names: Sequence[str]) -> list[Plugin]:
    """The plugins that have one of these names, or whose distribution or kind has it."""
    installed = registry.plugins()
    names_of = {plugin: {plugin.kind, plugin.name, plugin.distribution} for plugin in installed}
    known = set(KINDS).union(*names_of.values())
    for name in names:
        if name in known:
            continue
        hint = "`simssl plugins` lists what is installed"
        near = nearest(name, known)
        if near:
            hint = f"did you mean '{near}'?"
        raise UserError(f"no plugin, distribution or kind is called '{name}'; {hint}")
    return [plugin for plugin in installed if not names_of[plugin].isdisjoint(names)]


def _row(plugin: Plugin, registry: Registry, check: bool, suite: Suite | None = None) -> Row:
    row: Row = {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "requires": f"simssl{plugin.requires}" if plugin.requires else "",
        "module": plugin.module,
    }
    if (plugin.kind, plugin.name) in registry.conflicts():
        return row | {"status": "CONFLICT", "reason": "more than one distribution provides this name"}
    reason = shortcoming(plugin.requires)
    if reason:
        error = BrokenPlugin(plugin, reason)
        return row | {"status": "BROKEN", "reason": str(error)}
    if not check:
        return row
    try:
        loaded = registry.load(plugin.kind, plugin.name)
    except UserError as error:
        return row | {"status": "BROKEN", "reason": str(error)}
    row["status"] = "ok"
    if suite is None:
        return row
    row["checks"] = []
    for outcome in suite(plugin.kind, loaded):
        row["checks"].append(asdict(outcome))
        if outcome.status == "FAILED":
            row["status"] = "FAILED"
    return row


def as_json(listed: list[Row]) -> str:
    import json

    return json.dumps(listed, indent=2)


COLUMNS = ("kind", "name", "distribution", "version", "requires", "module", "status")


def as_text(listed: list[Row], width: int | None = None) -> str:
    """Return aligned columns, those that say something. Below its row stands what is wrong, and the suite's checks.

    Where the lines would be wider than `width`, the modules are left out, and a last line says where they stand.
    """
    columns = [column for column in COLUMNS if any(row.get(column) for row in listed)]
    text = _text_of(listed, columns)
    if width is None or "module" not in columns or _widest(listed, columns) <= width:
        return text
    columns.remove("module")
    return f"{_text_of(listed, columns)}\n\nthe modules do not fit here; --json has them"


def _widest(listed: list[Row], columns: Sequence[str]) -> int:
    """The width of the widest line of the table."""
    table = _table(listed, columns)
    widths = _widths(table)
    return max(len(_aligned(texts, widths)) for texts in table)


def _table(listed: list[Row], columns: Sequence[str]) -> list[list[str]]:
    """The head and the rows."""
    table = [list(columns)]
    for row in listed:
        texts = [str(row.get(column, "")) for column in columns]
        table.append(texts)
    return table


def _widths(table: list[list[str]]) -> list[int]:
    widths = []
    for column in zip(*table, strict=True):
        lengths = map(len, column)
        widths.append(max(lengths))
    return widths


def _text_of(listed: list[Row], columns: Sequence[str]) -> str:
    table = _table(listed, columns)
    widths = _widths(table)
    head, *body = table
    lines = [_aligned(head, widths)]
    for row, texts in zip(listed, body, strict=True):
        lines.append(_aligned(texts, widths))
        if "reason" in row:
            lines.append(f"    {row['reason']}")
        for check in row.get("checks", ()):
            lines.append(f"    {check['status']:8}  {check['check']}")
            if check["reason"]:
                lines.append(f"{'':14}{check['reason']}")
    return "\n".join(lines)


def _aligned(texts: list[str], widths: list[int]) -> str:
    padded = map(str.ljust, texts, widths)
    return "  ".join(padded).rstrip()
