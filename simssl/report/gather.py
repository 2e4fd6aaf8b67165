"""What a report is about: runs in folders, and the runs of an experiment file, done or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from simssl.errors import SimsslError, UserError
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.report.runs import Run, by_family, find, load_run, load_runs


def gather(
    paths: Sequence[Path], below: Path, registry: Registry, settings: Sequence[str] = ()
) -> tuple[list[Run], list[str]]:
    """The runs that these paths name, and a sentence for each that cannot be read.

    A folder stands for all runs in it. An experiment file stands for its runs, in the order of its grid, which are
    looked for in the folder `below`; those that are missing come as "not run". UserError if a path is not there, or
    nothing was found.
    """
    if gone := [str(path) for path in paths if not path.exists()]:
        raise UserError("\n".join(f"{path} does not exist" for path in gone))
    if settings and not any(map(_is_experiment, paths)):
        raise UserError("-s changes an experiment file, and only folders are given; name the file, or leave -s out")
    runs: dict[Path, Run] = {}
    unreadable: list[str] = []
    for path in paths:
        if _is_experiment(path):
            found, sentences = _cells(path, below, registry, settings)
        else:
            found, sentences = _folder(path)
        runs |= {run.path.resolve(): run for run in found if run.path and run.path.resolve() not in runs}
        unreadable += sentences
    if not unreadable and not any(run.status == "measured" for run in runs.values()):
        raise UserError(f"no finished run was found in {', '.join(map(str, paths))}")
    return list(runs.values()), unreadable


def _is_experiment(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml") and not path.is_dir()


def _folder(path: Path) -> tuple[list[Run], list[str]]:
    runs, unreadable = load_runs(find(path))
    return by_family(runs), unreadable


def _cells(file: Path, below: Path, registry: Registry, settings: Sequence[str]) -> tuple[list[Run], list[str]]:
    from simssl.experiment.config import load_experiments

    runs, unreadable = [], []
    cells = load_experiments(file, registry, settings)
    for cell in cells:
        try:
            runs.append(_cell(cell, below / cell.folder))
        except SimsslError as error:
            unreadable.append(f"left out: {error}")
            runs.append(Run(cell.resolved, path=below / cell.folder, status="unreadable"))
    if not unreadable and not any(run.status == "measured" for run in runs):
        raise UserError(_nothing_found(file, below / cells[0].name, {run.path for run in runs}))
    return runs, unreadable


def _cell(cell: Experiment, folder: Path) -> Run:
    """The run of this cell, with the settings that the file gives it now: their digest is the folder's name."""
    begun = (folder / "experiment.yaml").exists() or (folder / "metrics.json").exists()
    if not begun:
        return Run(cell.resolved, path=folder, status="not run")
    return replace(load_run(folder), settings=cell.resolved, unmeasured="not run")


def _nothing_found(file: Path, folder: Path, expected: set[Path | None]) -> str:
    others = [path for path in find(folder) if path not in expected]
    sentence = f"no run of {file} is finished in {folder}"
    if not others:
        return f"{sentence}; simssl run {file} makes them, and --runs says where they are"
    return (
        f"{sentence}, but {len(others)} with other settings; give the -s that they were run with, or report the folder"
    )
