"""The sentences below a report's table."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.report.best import COMPARED
from simssl.report.runs import Run
from simssl.report.table import Row


def skipped(runs: Sequence[Run]) -> list[str]:
    """A sentence for each key and reason; one for all methods that lack the same."""
    lacks: dict[tuple[str, str], dict[str, str]] = {}
    for run in runs:
        name = str(run.settings["objective"]["name"])
        for key, entry in run.metrics.items():
            if "skipped" in entry:
                lacks.setdefault((key, entry["skipped"].removeprefix(f"{name} has ")), {})[name] = entry["skipped"]
    sentences = {
        f"{key}: skipped, {f'{lack}: ' + ', '.join(reasons) if len(set(reasons.values())) > 1 else reason}": None
        for (key, lack), reasons in lacks.items()
        for reason in list(reasons.values())[:1]
    }
    return list(sentences)


def missing(rows: Sequence[Row]) -> list[str]:
    """A sentence for each row that some of its seeds, or their evaluators, are missing from."""
    sentences = []
    for row in rows:
        seeds: dict[str, list[str]] = {}
        for run in row.members:
            if what := _missing(run, row):
                seeds.setdefault(what, []).append(str(run.settings["seed"]))
        sentences += [f"{row.label}: {what} with seed {', '.join(found)}" for what, found in seeds.items() if row.runs]
    return sentences


def _missing(run: Run, row: Row) -> str | None:
    """What the run lacks and others of its row have."""
    if run.status != "measured":
        return None if run.status == "unreadable" else run.status
    labels = [label for label in run.lacking if any(label not in other.lacking for other in row.members)]
    return f"{', '.join(labels)} {run.unmeasured}" if labels else None


def beside(rows: Sequence[Row], against: str | None) -> list[str]:
    """A sentence for each source whose values were selected otherwise than the numbers beside them; or one, if nothing
    published stands beside any number."""
    pairs = [(column, cell.published) for row in rows for column, cell in row.measured.items() if cell.published]
    absent = any(cell.published for row in rows for cell in row.absent.values())
    if against and not pairs and not absent:
        return [f"{against} has no value for any of these data sets, methods and metrics"]
    sentences = {
        f"{published.source} was selected on {published.selected_on}: compare it with the columns that were, too"
        for column, published in pairs
        if published.selected_on and published.selected_on != column.protocol.get("selected_on")
    }
    return sorted(sentences)


def unknown_families(rows: Sequence[Row]) -> list[str]:
    """A sentence if rows could be compared, were their families known."""
    unknown = [row.circumstances for row in rows if row.runs and row.family is None]
    if len(set(unknown)) == len(unknown):
        return []
    return [
        f"no best is marked where it is not recorded whether methods are {' or '.join(COMPARED)}; "
        "simssl evaluate RUN_DIR records it, or, where the evaluators of the run's file no longer fit the plugins, "
        "simssl evaluate RUN_DIR -e EVALUATOR"
    ]
