"""The documentation as a site: sphinx-build -W --keep-going docs build/site. It asks for nothing from elsewhere.

The pages are plain Markdown, as they are read on GitHub. The site's menu has what README.md links to, in its order.
Formulas become MathML, which browsers show without a script.
"""

from __future__ import annotations

import re
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

project = "simssl"
html_title = "simssl"
root_doc = "README"
extensions = ["myst_parser"]
exclude_patterns = ["images", "static"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
html_theme = "furo"
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("source-read", _with_menu)
    app.connect("build-finished", _with_index)


def _with_menu(app: Sphinx, page: str, source: list[str]) -> None:
    """Put a hidden table of contents behind a page that lists others.

    In that of README.md, each of its headings has the pages that it links to.
    """
    if page == "decisions/README":
        source[0] += _menu(source[0], ":titlesonly:")
    if page != root_doc:
        return
    for heading, part in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", source[0], re.M | re.S):
        source[0] += _menu(part, f":caption: {heading}")


def _menu(text: str, option: str) -> str:
    """Return a hidden table of contents with the pages that a text links to."""
    pages = "\n".join(re.findall(r"\]\((\w[\w/-]*)\.md\)", text))
    return f"\n```{{toctree}}\n:hidden:\n{option}\n\n{pages}\n```\n"


def _with_index(app: Sphinx, failure: Exception | None) -> None:
    """Write index.html, which a server shows for a folder: it leads to the first page, README.html."""
    if failure is None and app.builder.name == "html":
        start = f'<meta http-equiv="refresh" content="0; url={root_doc}.html">'
        page = f'<!doctype html><title>{project}</title>{start}<a href="{root_doc}.html">{project}</a>\n'
        (Path(app.outdir) / "index.html").write_text(page)


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{_mathml(node.astext(), "block")}</div>')
    raise nodes.SkipNode


def _mathml(formula: str, display: str) -> str:
    """Return MathML, with a little space around the name of a function, as TeX sets it; browsers leave none."""
    space = '<mspace width="0.17em"></mspace>'
    spaced = convert(formula, display=display).replace("<mi>log</mi>", f"{space}<mi>log</mi>{space}")
    return spaced.replace(f"{space}<mo stretchy", "<mo stretchy")
