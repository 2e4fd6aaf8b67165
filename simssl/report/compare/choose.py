"""One of several settings of a method is chosen by what it has on held-out images, and not by what it has on test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simssl.blocks.messages import nearest
from simssl.errors import UserError
from simssl.report import words
from simssl.report.columns import Column
from simssl.report.compare.estimate import Estimate
from simssl.report.numbers import estimate
from simssl.report.table import Measured, Row


def choose(rows: Sequence[Row], metric: str) -> tuple[list[Row], list[str]]:
    """The rows with the chosen setting of each method in place of all of its settings, and a sentence for each choice.

    Settings are compared at the same data, views, networks and budget. UserError if there is no such metric, or if a
    run has no number of it on held-out images.
    """
    _require_known(rows, metric)
    chosen: list[Row] = []
    sentences = []
    for settings in _of_each_method(rows):
        if len(settings) == 1:
            chosen += settings
            continue
        best = _best(settings, metric)
        sentences.append(_told(best, settings, metric))
        chosen += [replace(best, tried=len(settings))] if best else settings
    if not sentences:
        sentences.append("nothing was to be chosen: no method has several settings at the same data, views and budget")
    return chosen, sentences


def _require_known(rows: Sequence[Row], metric: str) -> None:
    """Raise UserError if no row has a number of this key; it names those that have one on held-out images."""
    keys: dict[str, bool] = {}
    for row in rows:
        for column, measured in row.measured.items():
            keys[column.key] = keys.get(column.key, False) or bool(measured.held_out)
    if metric in keys:
        return
    near = nearest(metric, list(keys))
    hint = f"; did you mean '{near}'?" if near else ""
    held_out = [key for key, is_there in keys.items() if is_there]
    known = ", ".join(held_out) or "a metric that was measured on held-out images, and these runs have none"
    raise UserError(f"no run has a number '{metric}'{hint}; --choose takes {known}")


def _of_each_method(rows: Sequence[Row]) -> list[list[Row]]:
    """The settings of each method at the same data, views, networks and budget, in the rows' order."""
    methods: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        method = (row.circumstances, row.objective)
        methods.setdefault(method, []).append(row)
    return list(methods.values())


def _best(settings: Sequence[Row], metric: str) -> Row | None:
    """The setting that is best on held-out images, the first of equals; None if none is measured."""
    measured = [(row, column) for row in settings for column in row.measured if column.key == metric]
    if not measured:
        return None
    columns = {column for _, column in measured}
    if len(columns) > 1:
        raise UserError(
            f"the settings of {settings[0].objective} have their {metric} by several protocols, so that none can be "
            "chosen by it; measure all of them by one"
        )
    column = columns.pop()
    if column.better is None:
        raise UserError(f"nothing can be chosen by {metric}: neither direction is better")
    for row, _ in measured:
        _require_held_out(row, column)
    sign = 1 if column.better == "higher" else -1

    def score(row: Row) -> float:
        return sign * _held_out(row.measured[column]).mean

    return max((row for row, _ in measured), key=score)


def _require_held_out(row: Row, column: Column) -> None:
    """Raise UserError if a run of this row has the number on test alone."""
    measured = row.measured[column]
    for run in row.members:
        seed = run.settings["seed"]
        if seed in measured.by_seed and seed not in measured.held_out:
            raise UserError(
                f"{run.source} has no {column.key} on held-out images to choose by; simssl evaluate RUN_DIR "
                "-e EVALUATOR measures it, if the evaluator records it and chooses nothing on test"
            )


def _held_out(measured: Measured) -> Estimate:
    return Estimate.of(list(measured.held_out.values()))


def _told(best: Row | None, settings: Sequence[Row], metric: str) -> str:
    """The sentence that says what was chosen, and among how many."""
    method = settings[0].objective
    tried = words.count(len(settings), "setting")
    if best is None:
        return f"{method}: none of its {tried} has {metric} yet, and none is chosen"
    (column,) = [column for column in best.measured if column.key == metric]
    there = estimate(_held_out(best.measured[column]), column.unit, best.runs)
    sentence = f"{best.label}: chosen of {tried} of {method} by {metric} on held-out images, where it has {there}"
    runs = sum(len(row.members) for row in settings)
    with_it = sum(len(row.measured[column].held_out) for row in settings if column in row.measured)
    without = runs - with_it
    if without:
        sentence += f"; {without} of the {runs} runs {'has' if without == 1 else 'have'} none yet"
    return sentence
