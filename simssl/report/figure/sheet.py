"""A figure as an SVG file that needs nothing else: panels on white, under a title and a sentence."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from simssl.blocks.messages import printable
from simssl.errors import UserError
from simssl.report.page.plots import BOTTOM, HEIGHT, TOP
from simssl.report.page.render import style_of
from simssl.report.page.steps.drawing import LINE_HEIGHT
from simssl.report.page.svg import SIZE, text, width_of

WIDTH = 820
"""Of all figures, in pixels; the pages of the documentation are about as wide."""

GAP = 20
"""Room between panels, and around them."""

MOST_NAMES = int((BOTTOM - TOP) / LINE_HEIGHT) + 1
"""Names that stand below one another on the right of a panel."""

HEADING = 15.5
"""Height of the letters of the title."""

SVG = Markup(
    '<svg xmlns="http://www.w3.org/2000/svg" width="{w:g}" height="{h:g}" viewBox="0 0 {w:g} {h:g}" role="img">\n'
    "<title>{title}</title>\n<desc>{description}</desc>\n<style>{style}</style>\n"
    '<rect width="{w:g}" height="{h:g}" fill="#ffffff"></rect>\n{inside}\n</svg>\n'
)
PANEL = Markup('<g transform="translate({:g} {:g})">{}</g>')


@dataclass(frozen=True)
class Drawn:
    """A panel that is drawn, as wide as `width_of_panels` says and as high as the page's plots."""

    elements: Sequence[Markup]
    description: str
    """Read aloud in its stead."""


def width_of_panels(columns: int) -> float:
    return (WIDTH - (columns + 1) * GAP) / columns


def check_names(names: Sequence[str], width: float) -> None:
    """UserError if a panel has no room for so many names, or if one of them would take half of its width."""
    if len(names) > MOST_NAMES:
        raise UserError(f"a panel has room for {MOST_NAMES} names, not for {len(names)}; choose runs with 'where'")
    for name in names:
        if width_of(name) > width / 2 - 2 * GAP:
            raise UserError(f"the name '{name}' is too long for a panel; give another one, or make 'columns' fewer")


def check_title(title: str, width: float) -> None:
    """UserError if a title would run into what is on the right of a panel of this width."""
    if width_of(title) > width + GAP:
        raise UserError(f"the title '{title}' is too long for a panel; give a shorter one, or make 'columns' fewer")


def sheet(title: str, sentence: str, panels: Sequence[Drawn], columns: int) -> str:
    """The file's text: the same panels give the same bytes."""
    elements = []
    top = GAP + HEADING
    for line in textwrap.wrap(title, int((WIDTH - 2 * GAP) / (width_of("x") * HEADING / SIZE))):
        elements.append(text(GAP, top, line, "heading"))
        top += 1.3 * HEADING
    for line in textwrap.wrap(sentence, int((WIDTH - 2 * GAP) / (0.9 * width_of("x")))):
        elements.append(text(GAP, top, line, "tick"))
        top += 1.4 * SIZE
    width = width_of_panels(columns)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        at = GAP + column * (width + GAP), top + row * (HEIGHT + GAP)
        elements.append(PANEL.format(*at, Markup("\n").join(panel.elements)))
    rows = -(-len(panels) // columns)
    drawn = SVG.format(
        w=WIDTH,
        h=round(top + rows * (HEIGHT + GAP)),
        title=title,
        description=f"{sentence}. " + ". ".join(panel.description for panel in panels),
        style=Markup(_style()),
        inside=Markup("\n").join(elements),
    )
    return printable(drawn)  # a name in it may hold what no file of XML may


def _style() -> str:
    """The page's style of plots with its colours on white paper, which no reader's settings change."""
    (light,) = re.findall(r"^:root \{(.*?)\}", style_of("style.css"), re.DOTALL | re.MULTILINE)[:1]
    colours = dict(re.findall(r"--([\w]+): ([^;]+);", light))
    style = style_of("plots.css") + f"svg text.heading {{ font-size: {HEADING}px; font-weight: 600; }}\n"
    while "var(" in style:
        style = re.sub(r"var\(--(\w+)\)", lambda name: colours[name[1]], style)
    return style
