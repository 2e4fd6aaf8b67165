"""The runs of an experiment file by the names of their folders. No plugin is imported, and little is checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simssl.experiment.document import Document, ExperimentError, Problem, collecting
from simssl.experiment.grid import expand, with_seed
from simssl.experiment.model import HASHED, digest_of, folder_of
from simssl.experiment.sections import SECTIONS, Sections
from simssl.experiment.yaml12 import parse_override, read
from simssl.plugin.registry import Registry


@dataclass(frozen=True)
class Outline:
    """A run of a file: its objective, seed and folder, and the evaluators as they are written."""

    objective: str
    seed: int
    folder: Path
    evaluators: tuple[Mapping[str, Any], ...]


def outlines(path: Path, registry: Registry, overrides: Sequence[str] = (), seed: int | None = None) -> list[Outline]:
    """Return the runs of a file in the order of its grid.

    ExperimentError if there is something wrong with it that can be seen without its plugins.
    """
    problems: list[Problem] = []
    _, documents = documents_of(path, overrides, seed, problems)
    sections = Sections(registry)
    runs: dict[Path, Outline] = {}
    for document in documents:
        run = _outline(document, sections, problems)
        if run is not None:
            runs[run.folder] = run
    if problems:
        raise ExperimentError(problems)
    return list(runs.values())


def _outline(document: Document, sections: Sections, problems: list[Problem]) -> Outline | None:
    core = sections.core(document, problems)
    objective = _named("objective", document, sections, problems)
    evaluators = document.tree.get("evaluators", [])
    if core is None or objective is None or not isinstance(evaluators, list):
        return None
    digest = digest_of(written_in(document, core.seed))
    folder = folder_of(core.name, objective, core.seed, digest)
    asked = tuple(evaluator for evaluator in evaluators if isinstance(evaluator, dict))
    return Outline(objective, core.seed, folder, asked)


def _named(key: str, document: Document, sections: Sections, problems: list[Problem]) -> str | None:
    """The name of the plugin of a section; None if there is no such plugin."""
    section = document.tree.get(key)
    name = section.get("name") if isinstance(section, dict) else None
    if not isinstance(name, str):
        problems.append(document.problem((key,), f"'{key}' names no plugin; simssl check FILE says more"))
        return None
    sections.registry.find(key, name)
    return name


def written_in(document: Document, seed: int) -> dict[str, Any]:
    """The sections that determine the weights, as they are written."""
    written = {key: document.tree[key] for key in HASHED if document.tree.get(key) is not None}
    written["seed"] = seed
    return written


def documents_of(
    path: Path, overrides: Sequence[str], seed: int | None, problems: list[Problem]
) -> tuple[Document, list[Document]]:
    """Return a file's document with the options applied, and one document for each combination of its grid."""
    document = read(path)
    overridden: list[str] = []
    for text in overrides:
        key, *_ = text.split("=")
        overridden.append(key.strip())
        with collecting(problems):
            dotted, value = parse_override(text)
            document = document.replace(dotted, value)
    if seed is not None:
        document = with_seed(document, seed)
    documents = expand(document, SECTIONS, overridden, problems)
    if seed is not None:  # an axis of the user's own may set seeds, too
        documents = [with_seed(single, seed) for single in documents]
    return document, documents
