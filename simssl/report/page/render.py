"""A page's HTML: templates that Jinja fills, with the style sheet and the plots inside."""

from __future__ import annotations

import base64
import re
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from simssl import __version__
from simssl.report.page.gather import Page
from simssl.report.page.plots import bar_chart, scatter, trend
from simssl.report.page.steps.drawing import curves, over_views
from simssl.report.words import count

PACKAGE = "simssl.report.page"

GENERATOR = "simssl"
"""The program that a page names near its beginning as its maker."""


def render(page: Page) -> str:
    """The page as HTML. The same runs give the same page."""
    style = style_of("style.css") + style_of("plots.css")
    template = _environment().get_template("page.html")
    return template.render(
        page=page,
        style=Markup(style),
        generator=GENERATOR,
        version=__version__,
    )


def style_of(name: str) -> str:
    """The text of one of the page's style sheets."""
    return resources.files(PACKAGE).joinpath(name).read_text(encoding="utf-8")


def _environment() -> Environment:
    """The templates, with what they may call; what they are given is escaped."""
    environment = Environment(
        loader=PackageLoader(PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        bar_chart=bar_chart,
        curves=curves,
        over_views=over_views,
        scatter=scatter,
        trend=trend,
    )
    environment.filters.update(
        base64=in_base64,
        breakable=breakable,
        count=count,
        paragraphs=paragraphs,
    )
    return environment


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def breakable(key: str) -> Markup:
    """A metric's key, which may be broken at its slashes and underscores."""
    return Markup("<wbr>").join(re.split("(?<=[/_])", key))


def paragraphs(docstring: str) -> Markup:
    """The paragraphs of a docstring, with what stands in backticks as code."""
    html = Markup()
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        if paragraph:
            line = paragraph.replace("\n", " ")
            html += Markup('<p class="how">{}</p>').format(_with_code(line))
    return html


def _with_code(text: str) -> Markup:
    html = Markup()
    pieces = re.split(r"`+([^`]+)`+", text)
    for i, piece in enumerate(pieces):
        inside = i % 2 == 1
        html += Markup("<code>{}</code>").format(piece) if inside else escape(piece)
    return html
