"""The sentences below a report's table."""

from __future__ import annotations

from collections.abc import Sequence

from simssl.report.compare.best import COMPARED, several_settings
from simssl.report.runs import Run
from simssl.report.table import Row


def skipped(runs: Sequence[Run]) -> list[str]:
    """A sentence for each key and reason; one for all methods that lack the same.

    A reason such as "simclr has no decoder" names its method, "the views do not vary" names none. Without the
    method's name, reasons of several methods are the same.
    """
    reasons: dict[tuple[str, str], dict[str, str]] = {}  # (key, reason without a name) -> method -> its reason
    for run in runs:
        method = str(run.settings["objective"]["name"])
        for key, entry in run.metrics.items():
            if "skipped" not in entry:
                continue
            reason = entry["skipped"]
            lack = reason.removeprefix(f"{method} has ")
            by_method = reasons.setdefault((key, lack), {})
            by_method[method] = reason

    sentences: dict[str, None] = {}
    for (key, lack), by_method in reasons.items():
        different = list(dict.fromkeys(by_method.values()))
        if len(different) > 1:
            methods = ", ".join(by_method)
            sentence = f"{key}: skipped, {lack}: {methods}"
        else:
            sentence = f"{key}: skipped, {different[0]}"
        sentences[sentence] = None
    return list(sentences)


def missing(rows: Sequence[Row]) -> list[str]:
    """A sentence for each row that some of its seeds, or their evaluators, are missing from."""
    sentences = []
    for row in rows:
        if not row.runs:
            continue
        seeds: dict[str, list[str]] = {}
        for run in row.members:
            what = _missing(run, row)
            if what:
                seed = str(run.settings["seed"])
                seeds.setdefault(what, []).append(seed)
        for what, of_seeds in seeds.items():
            listed = ", ".join(of_seeds)
            sentences.append(f"{row.label}: {what} with seed {listed}")
    return sentences


def _missing(run: Run, row: Row) -> str | None:
    """Return what the run lacks and others of its row have; None if nothing, or if it has a sentence of its own."""
    if run.status == "unreadable":
        return None
    if run.status != "measured":
        return run.status
    labels = []
    for label in run.lacking:
        others_have_it = any(label not in other.lacking for other in row.members)
        if others_have_it:
            labels.append(label)
    if not labels:
        return None
    evaluators = ", ".join(labels)
    return f"{evaluators} {run.unmeasured}"


def beside(rows: Sequence[Row], against: str | None) -> list[str]:
    """A sentence for each source whose values were selected otherwise than the numbers beside them.

    If nothing published stands beside any number, one sentence that says so.
    """
    any_published = False
    sentences = set()
    for row in rows:
        for absent in row.absent.values():
            if absent.published:
                any_published = True
        for column, measured in row.measured.items():
            published = measured.published
            if not published:
                continue
            any_published = True
            if published.protocol:
                sentences.add(f"{published.source} measured by: {published.protocol}")
            on = published.selected_on
            if on and on != column.protocol.get("selected_on"):
                sentences.add(f"{published.source} was selected on {on}: compare it with the columns that were, too")
    if against and not any_published:
        return [f"{against} has no value for any of these data sets, methods and metrics"]
    return sorted(sentences)


def unknown_families(rows: Sequence[Row]) -> list[str]:
    """A sentence if rows could be compared, were their families known."""
    unknown: set[str] = set()
    could_be_compared = False
    for row in rows:
        if not row.runs or row.family is not None:
            continue
        if row.circumstances in unknown:
            could_be_compared = True
        unknown.add(row.circumstances)
    if not could_be_compared:
        return []
    families = " or ".join(COMPARED)
    return [
        f"no best is marked where it is not recorded whether methods are {families}; "
        "simssl evaluate RUN_DIR records it, or, where the evaluators of the run's file no longer fit the plugins, "
        "simssl evaluate RUN_DIR -e EVALUATOR"
    ]


def several_settings_of_one(rows: Sequence[Row]) -> list[str]:
    """A sentence if rows are not marked as the best since they are some of several settings of one method."""
    rivals: dict[str, list[Row]] = {}
    for row in rows:
        if row.family in COMPARED and row.runs:
            rivals.setdefault(row.circumstances, []).append(row)
    methods: dict[str, None] = {}
    for group in rivals.values():
        methods |= dict.fromkeys(several_settings(group))
    if not methods:
        return []
    listed = ", ".join(methods)
    return [
        f"no best is marked among several settings of one method ({listed}): it would be chosen on test; "
        "--choose METRIC chooses on held-out images"
    ]
