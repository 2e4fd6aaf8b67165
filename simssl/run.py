"""An experiment's cells, one after the other or several at once; and evaluators on a run that is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from simssl.cell import Outcome, Turn, Workplace, announce, is_done, measure, plugins_of, tracked, work_on
from simssl.errors import UserError
from simssl.experiment.config import load as load_experiments
from simssl.experiment.model import Choice, Experiment
from simssl.launch.jobs import side_by_side
from simssl.measurement.evaluate import build, why_skipped
from simssl.measurement.metrics import label_of, missing, read_metrics
from simssl.training.assemble import assemble, choose_device
from simssl.training.environment import Record, describe, recalling, tell_of_changes
from simssl.training.folder import RunFolder
from simssl.training.precision import shortfall
from simssl.training.stop import Stop
from simssl.training.trackers import run_info
from simssl.training.train import restore_trained


def run(cells: Sequence[Experiment], place: Workplace, fresh: bool = False, jobs: int = 1) -> list[Outcome]:
    """Train and measure every cell that is not done, `jobs` at a time. A failed cell does not stop the others.

    UserError before anything is trained if a cell cannot be built; Interrupted on SIGINT or SIGTERM.
    """
    device = choose_device(place.device)
    turns = [_turn(number, cells, place, fresh) for number in range(len(cells))]
    with Stop() as stop:
        _check_all([turn.cell for turn in turns if not turn.done], place)
        for sentence in shortfall((turn.cell for turn in turns if not turn.done), device):
            place.say(sentence)
        if min(jobs, len(cells)) > 1:
            outcomes = side_by_side(turns, place, min(jobs, len(cells)), stop)
        else:
            outcomes = [_take(turn, place, device, stop) for turn in turns]
    return [_again(turn, outcome) for turn, outcome in zip(turns, outcomes, strict=True)]


def _turn(number: int, cells: Sequence[Experiment], place: Workplace, fresh: bool) -> Turn:
    cell, folder = cells[number], place.folder(cells[number])
    label = f"[{number + 1}/{len(cells)}] {cell.objective.name}, seed {cell.seed}"
    return Turn(label, cell, folder, fresh, done=not fresh and is_done(cell, folder))


def _take(turn: Turn, place: Workplace, device: torch.device, stop: Stop) -> Outcome:
    announce(turn, place)
    return Outcome(turn.folder.path, "already done") if turn.done else work_on(turn, place, device, stop)


def _again(turn: Turn, outcome: Outcome) -> Outcome:
    """A cell that another process held may be done by now."""
    if outcome.status == "held" and is_done(turn.cell, turn.folder):
        return Outcome(outcome.folder, "already done")
    return outcome


def _check_all(cells: Sequence[Experiment], place: Workplace) -> None:
    """Build every cell once, so that what cannot work, or will be skipped, is said before anything is trained."""
    skipped: dict[str, None] = {}
    for cell in cells:
        data = place.data_of(cell.dataset)
        assembly = assemble(cell, place.registry, data, torch.device("cpu"))
        for choice in cell.evaluators:
            reason = why_skipped(build(choice, place.registry, data), assembly)
            if reason:
                skipped[f"{choice.label} will be skipped: {reason}"] = None
    for cell in cells:
        place.folder(cell).create()
    for sentence in skipped:
        place.say(sentence)


def evaluate_run(path: Path, place: Workplace, choices: Sequence[Choice] = ()) -> None:
    """Run evaluators on a trained run: these, or those of its file that are missing, or that skipped a part.

    UserError if there is no such run, or it is not trained to the end.
    """
    folder = RunFolder.existing(path)
    registry = recalling(place.registry, folder)
    (cell,) = load_experiments(folder.experiment, registry, ("evaluators=[]",) if choices else ())
    tell_of_changes(folder, cell.choices, registry)
    cell = replace(cell, evaluators=tuple(choices) or cell.evaluators)
    device = choose_device(place.device)
    with Stop(), folder.locked():
        data = place.data_of(cell.dataset)
        for choice in choices:
            build(choice, place.registry, data)
        _say_what_is_replaced(choices, folder, place)
        assembly = assemble(cell, place.registry, data, device)
        restore_trained(assembly, folder)
        record = Record(folder, describe(device, plugins_of(cell, registry)), place.warn)
        with tracked(cell, place) as trackers:
            trackers.started(run_info(assembly, folder, assembly.steps))
            measure(assembly, folder, choices or missing(cell, folder, in_part=True), place, trackers, record)


def _say_what_is_replaced(choices: Sequence[Choice], folder: RunFolder, place: Workplace) -> None:
    labels = [choice.label for choice in choices]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise UserError(f"'{twice.pop()}' is asked for twice; tell them apart with 'as: another-name'")
    there = set(map(label_of, read_metrics(folder) or {}))
    for label in labels:
        if label in there:
            place.say(f"{label} is measured again, in place of the numbers that are there")
