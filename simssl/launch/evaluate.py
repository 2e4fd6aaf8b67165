"""Evaluation of a run that is trained already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from simssl.errors import RunError, UserError, one_line
from simssl.evaluation.evaluate import check_choice
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Choice
from simssl.experiment.yaml12 import dump, read
from simssl.launch.run import measure, plugins_of, tracked
from simssl.launch.workspace import Workspace
from simssl.plugin.registry import BrokenPlugin
from simssl.store.environment import Record, describe, recalling, tell_of_changes
from simssl.store.folder import RunFolder
from simssl.store.metrics import label_of, missing, read_metrics
from simssl.training.build import build_run
from simssl.training.machine.device import choose_device, computing_on
from simssl.training.machine.spinning import considerate_threads, policy
from simssl.training.records.trackers import run_info
from simssl.training.stop import Stop
from simssl.training.train import restore_trained


def evaluate_run(path: Path, workspace: Workspace, choices: Sequence[Choice] = ()) -> None:
    """Run evaluators on a trained run: these, or those of its experiment that are missing or skipped a part.

    UserError if there is no such run, or if it is not trained to the end.
    """
    folder = RunFolder.existing(path)
    registry = recalling(workspace.registry, folder)
    overrides = ["measure=null"]
    overrides += ["evaluators=[]"] if choices else []
    overrides += _trackers_that_work(folder, workspace)
    (experiment,) = load_experiments(folder.experiment, registry, overrides)
    tell_of_changes(folder, experiment.choices, registry)
    experiment = replace(experiment, evaluators=tuple(choices) or experiment.evaluators)
    device = choose_device(workspace.device)
    with Stop(), _plugins_errors_named(), folder.locked(), computing_on(device), considerate_threads(device):
        data = workspace.load_data(experiment.dataset)
        built = build_run(experiment, workspace.registry, data, device)
        for choice in choices:
            check_choice(choice, built, workspace.registry, workspace.load_data)
        _say_what_is_replaced(choices, folder, workspace)
        steps = restore_trained(built, folder)
        made_with = describe(device, plugins_of(experiment, registry))
        made_with |= {"jobs": workspace.jobs, "openmp": policy()}
        record = Record(folder, made_with, workspace.warn)
        with tracked(experiment, workspace, {}) as trackers:
            trackers.started(run_info(built, folder, steps, trained=True))
            wanted = choices or missing(experiment, folder, in_part=True)
            measure(built, folder, wanted, workspace, trackers, record)


def _trackers_that_work(folder: RunFolder, workspace: Workspace) -> list[str]:
    """The option that leaves out the run's trackers that are broken here, which is said; none if all work."""
    trackers = read(folder.experiment).tree.get("trackers")
    if not isinstance(trackers, list):  # told when the file is checked
        return []
    working = []
    for tracker in trackers:
        try:
            workspace.registry.load("tracker", tracker["name"])
        except BrokenPlugin as error:
            workspace.warn(f"{error}; it is left out")
            continue
        except (UserError, KeyError, TypeError):  # told when the file is checked
            pass
        working.append(tracker)
    return [] if len(working) == len(trackers) else [f"trackers={dump(working)}"]


@contextmanager
def _plugins_errors_named() -> Iterator[None]:
    """Turn what a plugin raises in place of an error into RunError. A signal would be Interrupted here."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        raise RunError(f"a plugin raised {one_line(error)}") from error


def _say_what_is_replaced(choices: Sequence[Choice], folder: RunFolder, workspace: Workspace) -> None:
    """Say whose numbers are measured again. UserError if two evaluators have the same label."""
    labels = [choice.label for choice in choices]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"'{label}' is asked for twice; tell them apart with 'as: another-name'")
    measured = {label_of(key) for key in read_metrics(folder) or {}}
    for label in labels:
        if label in measured:
            workspace.say(f"{label} is measured again, in place of the numbers that are there")
