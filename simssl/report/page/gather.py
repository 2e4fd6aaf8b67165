"""All that the page shows, gathered before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simssl.report import words
from simssl.report.columns import Column
from simssl.report.page.ablations import Ablation, ablations
from simssl.report.page.compared import Compared, compared, lead
from simssl.report.page.content_against_style import ContentAgainstStyle, content_against_style
from simssl.report.page.figures import looks_of
from simssl.report.page.files import PictureGroup, pictures_of, records_of
from simssl.report.page.gains import Gains, gains
from simssl.report.page.kept import Kept, kept
from simssl.report.page.protocols import Evaluator, anchors_of, evaluators_of
from simssl.report.page.repeat import Repeat, repeat
from simssl.report.page.results import Results, results
from simssl.report.page.steps.curves import Training, training_of
from simssl.report.page.steps.measured import OverTime, over_time
from simssl.report.runs import Run
from simssl.report.table import Table


@dataclass(frozen=True)
class Part:
    """The sections about one experiment; None or empty where the runs have nothing for one."""

    name: str
    compared: Compared
    results: Results
    content_against_style: ContentAgainstStyle
    kept: Sequence[Kept]
    ablations: Sequence[Ablation]
    gains: Gains | None
    pictures: Sequence[PictureGroup]
    over_time: OverTime | None
    training: Training | None


@dataclass(frozen=True)
class Page:
    title: str
    lead: str
    notes: Sequence[str]
    parts: Sequence[Part]
    evaluators: Sequence[Evaluator]
    repeat: Repeat | None


def gather(table: Table) -> Page:
    """Everything about these runs, from the table and from their folders."""
    evaluators = evaluators_of(table)
    anchors = anchors_of(evaluators)
    runs: list[Run] = []
    for row in table.rows:
        runs += row.members
    return Page(
        title=words.several(table.experiments),
        lead=lead(table.rows),
        notes=table.notes,
        parts=[_part(of_experiment, anchors) for of_experiment in table.parts],
        evaluators=evaluators,
        repeat=repeat(records_of(runs)),
    )


def _part(table: Table, anchors: Mapping[Column, str]) -> Part:
    looks = looks_of(table.rows)
    alike = [(rivals, table.where(rivals)) for rivals in table.alike]
    return Part(
        name=table.rows[0].experiment,
        compared=compared(table.rows),
        results=results(table, anchors),
        content_against_style=content_against_style(table, alike, looks),
        kept=kept(alike, looks),
        ablations=ablations(table, looks),
        gains=gains(table, alike, looks),
        pictures=pictures_of(table.rows),
        over_time=over_time(alike, looks),
        training=training_of(table.rows, looks),
    )
