"""The whole page: for each experiment what was compared, tables and figures; then how the numbers were made."""

from __future__ import annotations

from importlib import resources

from simssl import __version__
from simssl.report import words
from simssl.report.columns import Column
from simssl.report.page.ablation import ablations
from simssl.report.page.elements import Html, joined, section, tag
from simssl.report.page.environment import environment
from simssl.report.page.gains import gains
from simssl.report.page.head import compared, lead
from simssl.report.page.look import looks
from simssl.report.page.made import anchors, grouped, made
from simssl.report.page.pictures import pictures
from simssl.report.page.style_and_content import content_and_style, in_short
from simssl.report.page.tables import results
from simssl.report.page.training import training
from simssl.report.table import Table

GENERATOR = "simssl"
"""What a page says near its beginning that it was made by."""


def document(table: Table) -> str:
    """The page of a report, as HTML. The same runs give the same page."""
    experiments, parts = table.experiments, table.parts
    title = words.several(experiments)
    groups = grouped(table.columns)
    several = len(experiments) > 1
    level = 3 if several else 2
    notes = tag("ul", *(tag("li", note) for note in table.notes), class_="how") if table.notes else Html()
    bodies = [_experiment(part, anchors(groups), level, Html() if several else notes) for part in parts]
    main = tag(
        "main",
        tag("header", tag("h1", title), lead(table.rows)),
        _contents(experiments) if several else None,
        section(2, "Notes", notes) if several else None,
        *(
            tag("article", tag("h2", name), body, id=f"experiment-{i}") if several else body
            for i, (name, body) in enumerate(zip(experiments, bodies, strict=True), 1)
        ),
        made(groups, table.rows, 2),
        environment([run for row in table.rows for run in row.members], 2),
        tag("footer", tag("p", f"Made by simssl {__version__}, simssl report --html.")),
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="generator", content=f"{GENERATOR} {__version__}"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title}: simssl report"),
        tag("style", Html(_style())),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", main), lang="en") + "\n"


def _style() -> str:
    return resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def _contents(experiments: list[str]) -> Html:
    links = [tag("li", tag("a", name, href=f"#experiment-{i}")) for i, name in enumerate(experiments, 1)]
    return tag("nav", tag("ul", *links), aria_label="experiments")


def _experiment(table: Table, places: dict[Column, str], level: int, notes: Html) -> Html:
    look = looks(table.rows)
    return joined(
        [
            in_short(table),
            section(level, "What was compared", compared(table.rows, level)),
            section(level, "Results", results(table, places, notes)),
            content_and_style(table, look, level),
            ablations(table, look, level),
            gains(table, look, level),
            pictures(table.rows, level),
            training(table.rows, look, level),
        ]
    )
