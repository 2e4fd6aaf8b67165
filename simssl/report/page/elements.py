"""Elements of HTML and SVG. Every string is escaped, but for what was made here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

VOID = ("img", "meta")


class Html(str):
    """Text that is HTML already."""


def tag(name: str, /, *children: str | None, **attributes: object) -> Html:
    """An element. `class_` is the attribute class, `aria_label` is aria-label; attributes and children that are None
    are left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[str | None], between: str = "") -> Html:
    """These, one after the other."""
    return Html(between.join(_safe(child) for child in children if child is not None))


def _safe(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def section(level: int, heading: str, *children: str | None) -> Html:
    """A section with its heading; nothing if it would be empty."""
    inside = joined(children)
    return tag("section", tag(f"h{level}", heading), inside) if inside else Html()


def folded(summary: str, *children: str | None, **attributes: object) -> Html:
    """What opens when its summary is clicked; in print it is open."""
    return tag("details", tag("summary", summary), *children, **attributes)


def box(label: str, child: str) -> Html:
    """What is wider than a phone scrolls in a box of its own, with the keyboard, too."""
    return tag("div", child, class_="box", role="region", aria_label=label, tabindex=0)


def facts(pairs: Iterable[tuple[str, str]]) -> Html:
    """A list of terms and what they are."""
    return tag("dl", *(tag("div", tag("dt", term), tag("dd", value)) for term, value in pairs))


def key(text: str) -> Html:
    """A metric's key, which may be broken at its slashes and underscores."""
    return Html(re.sub("([/_])", r"\1<wbr>", escape(text)))


def paragraphs(text: str) -> Html:
    """A docstring: its paragraphs, with what stands in backticks as code."""
    parts = [part.replace("\n", " ") for part in re.split(r"\n\s*\n", text.strip()) if part]
    return joined(tag("p", _with_code(part), class_="how") for part in parts)


def _with_code(text: str) -> Html:
    pieces = re.split(r"`+([^`]+)`+", text)
    return joined(tag("code", piece) if i % 2 else piece for i, piece in enumerate(pieces))
