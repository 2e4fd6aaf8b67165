"""The runs that a report is about: those in folders, and those of an experiment file, done or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from simssl.errors import SimsslError, UserError
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.report.archive import SUFFIX, read_archive
from simssl.report.find import find
from simssl.report.runs import Run, load_run, load_runs, settings_of
from simssl.store.metrics import FAMILIES


def gather(
    paths: Sequence[Path],
    below: Path,
    registry: Registry,
    settings: Sequence[str] = (),
) -> tuple[list[Run], list[str]]:
    """Return the runs that these paths name, and a sentence for each that cannot be read.

    A folder stands for all runs in it, an archive too. An experiment file stands for its runs, in the order of its
    grid, which are looked for in the folder `below`; those that are missing come as "not run". UserError if a path is
    not there, or no run is finished.
    """
    gone = [f"{path} does not exist" for path in paths if not path.exists()]
    if gone:
        raise UserError("\n".join(gone))
    if settings and not any(map(_is_experiment, paths)):
        raise UserError("-s changes an experiment file, and only folders are given; name the file, or leave -s out")

    runs: dict[Path | tuple[Path, int], Run] = {}
    unreadable: list[str] = []
    for path in paths:
        if _is_experiment(path):
            named, sentences = _runs_of_file(path, below, registry, settings)
        elif path.is_file() and path.suffix == SUFFIX:
            named, sentences = read_archive(path), []
        else:
            named, sentences = _runs_in_folder(path)
        for number, run in enumerate(named):
            source = run.path.resolve() if run.path else (path.resolve(), number)
            runs.setdefault(source, run)
        unreadable += sentences
    if not unreadable and not _any_measured(runs.values()):
        named_paths = ", ".join(map(str, paths))
        raise UserError(f"no finished run was found in {named_paths}")
    return list(runs.values()), unreadable


def _is_experiment(path: Path) -> bool:
    if path.is_dir():
        return False
    return path.suffix in (".yaml", ".yml")


def _any_measured(runs: Iterable[Run]) -> bool:
    return any(run.status == "measured" for run in runs)


def _runs_in_folder(path: Path) -> tuple[list[Run], list[str]]:
    """The runs in a folder, in the order of a table, and a sentence for each that cannot be read."""
    folders, out_of_reach = find(path)
    runs, unreadable = load_runs(folders)
    return _by_family(runs), [*unreadable, *out_of_reach]


def _by_family(runs: Sequence[Run]) -> list[Run]:
    """The runs in the order of a table.

    Experiment by experiment: what is untrained, then discriminative methods, then generative ones, then those whose
    family no run of their row knows. Those of one objective come in the order of their settings.
    """
    experiments: dict[str, int] = {}
    families: dict[str, int] = {}
    for run in runs:
        experiment = run.settings["name"]
        experiments.setdefault(experiment, len(experiments))
        if run.family:
            families[run.group] = FAMILIES.index(run.family)

    def order(run: Run) -> tuple[Any, ...]:
        experiment = experiments[run.settings["name"]]
        family = families.get(run.group, len(FAMILIES))
        objective = run.settings["objective"]["name"]
        settings = []
        by_key = settings_of(run)
        for key in sorted(by_key):
            value = _comparable(by_key[key])
            settings.append((key, value))
        seed = run.settings["seed"]
        return experiment, family, objective, settings, seed

    return sorted(runs, key=order)


def _comparable(value: Any) -> tuple[float, str]:
    """A value as it is sorted: numbers by their size, what is no number by its text."""
    if isinstance(value, (int, float)):
        return float(value), ""
    return 0.0, str(value)


def _runs_of_file(
    file: Path,
    below: Path,
    registry: Registry,
    settings: Sequence[str],
) -> tuple[list[Run], list[str]]:
    """The runs of an experiment file, in the order of its grid, and a sentence for each that cannot be read."""
    from simssl.experiment.config import load_experiments

    runs = []
    unreadable = []
    expected = set()
    experiments = load_experiments(file, registry, settings)
    for experiment in experiments:
        folder = below / experiment.folder
        expected.add(folder)
        try:
            runs.append(_run_of(experiment, folder))
        except SimsslError as error:
            unreadable.append(f"left out: {error}")
            run = Run(experiment.resolved, path=folder, status="unreadable")
            runs.append(run)
    if not unreadable and not _any_measured(runs):
        around = below / experiments[0].name
        raise UserError(_none_finished(file, around, expected))
    return runs, unreadable


def _run_of(experiment: Experiment, folder: Path) -> Run:
    """The experiment's run, with the settings that the file gives it now: their digest is the folder's name."""
    written = folder / "experiment.yaml"
    metrics = folder / "metrics.json"
    if not written.exists() and not metrics.exists():
        return Run(experiment.resolved, path=folder, status="not run")
    run = load_run(folder)
    return replace(run, settings=experiment.resolved, unmeasured="not run")


def _none_finished(file: Path, folder: Path, expected: set[Path]) -> str:
    """The sentence that no run of a file is finished, and what can be done."""
    there, _ = find(folder)
    others = set(there) - expected
    sentence = f"no run of {file} is finished in {folder}"
    if not others:
        return f"{sentence}; simssl run {file} makes them, and --runs says where they are"
    return (
        f"{sentence}, but {len(others)} with other settings; give the -s that they were run with, or report the folder"
    )
