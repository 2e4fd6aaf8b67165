"""A document with a `grid` becomes one document for each combination of the grid's values.

An axis is a dotted key of the experiment with a list of values. Each of them replaces the whole subtree at that key.
Or it is a label of the user's own with a list of mappings. Each of them sets several dotted keys at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable

from simssl.experiment.document import Document, Position, Problem, collecting, describe
from simssl.experiment.validation import suggestion

Setting = dict[str, Document]
"""Dotted keys and their new subtrees: what one value of an axis sets, or one combination of values."""

RUNS = 10_000
"""Most runs of a grid."""
VALUES = 1_000_000
"""Most values of all runs of a grid together."""

FIXED = ("name", "grid")
"""Keys that no axis can set: the runs of a grid belong to one experiment."""


def expand(
    document: Document, sections: Collection[str], overrides: Iterable[str], problems: list[Problem]
) -> list[Document]:
    """Return one document for each combination of values; what is wrong with the grid is appended to `problems`.

    `overrides` are the dotted keys that the user set by option. One that the grid sets in every run is a mistake.
    """
    base = document.without("grid")
    grid = document.tree.get("grid")
    if not grid and not isinstance(grid, list):
        return [base]
    if not isinstance(grid, dict):
        message = f"'grid' is a mapping of axes, not {describe(grid)}"
        problems.append(document.problem(("grid",), message))
        return [base]
    axes = [_axis(document, name, sections, problems) for name in grid]
    runs = math.prod(map(len, axes))
    if runs > RUNS or runs * len(base.values) > VALUES:
        message = f"the grid makes {runs:,} runs of {len(base.values):,} values each; {RUNS:,} runs with {VALUES:,} "
        message += "values in all are the most, so make several files of it"
        problems.append(document.problem(("grid",), message, of_key=True))
        return [base]
    settings = list(map(_merged, itertools.product(*axes)))
    for override in overrides:
        problem = _shadowed(document, override, settings)
        if problem is not None:
            problems.append(problem)
    begun: Begun = {}
    return [_with_setting(base, setting, problems, begun) for setting in settings]


def _merged(combination: tuple[Setting, ...]) -> Setting:
    merged: Setting = {}
    for setting in combination:
        merged |= setting
    return merged


def _shadowed(document: Document, override: str, settings: list[Setting]) -> Problem | None:
    """The problem of an option that changes nothing, since the grid replaces what it sets in every run."""
    replacing = [_replacing(override, setting) for setting in settings]
    if None in replacing:
        return None
    message = f"the grid sets '{replacing[0]}' in every run; leave it out with -s 'grid={{}}', or change the grid"
    path = tuple(override.split("."))
    return document.problem(path, message)


def _replacing(override: str, setting: Setting) -> str | None:
    """The first key of the setting that is `override` or stands around it."""
    for key in setting:
        if override == key or override.startswith(f"{key}."):
            return key
    return None


Begun = dict[tuple[tuple[str, int], ...], Document]
"""Documents with the first few keys of a setting set, by these keys and the identities of their values."""


def _with_setting(document: Document, setting: Setting, problems: list[Problem], begun: Begun) -> Document:
    """Return the document with the keys of a setting set, one after the other. Settings that begin alike share that."""
    so_far: tuple[tuple[str, int], ...] = ()
    for number, (dotted, value) in enumerate(setting.items(), 1):
        so_far += ((dotted, id(value)),)
        if so_far in begun:
            document = begun[so_far]
            continue
        with collecting(problems):
            document = document.replace(dotted, value)
        if number < len(setting):
            begun[so_far] = document
    return document


def _axis(document: Document, name: str, sections: Collection[str], problems: list[Problem]) -> list[Setting]:
    """The settings of an axis, one for each of its values; what is wrong is appended to `problems`."""
    values = document.tree["grid"][name]
    if not isinstance(values, list) or not values:
        what = "empty" if values == [] else describe(values)
        message = f"the axis '{name}' is a list of values, not {what}"
        problems.append(document.problem(("grid", name), message))
        return [{}]
    section = name.split(".")[0]
    is_key = section in sections and name not in FIXED
    hint = suggestion(section, set(sections).difference(FIXED))
    settings: list[Setting] = []
    for value, here in zip(values, document.entries(("grid", name)), strict=True):
        if is_key:
            settings.append({name: here})
            continue
        if not isinstance(value, dict):
            message = f"the axis '{name}' is no key that a grid can set, so its values are mappings of keys{hint}"
            problems.append(here.problem((), message))
            continue
        fixed = next((key for key in value if key in FIXED), None)
        if fixed is not None:
            message = f"'{fixed}' is the same for all runs of a grid; the axis '{name}' cannot set it{hint}"
            problems.append(here.problem((fixed,), message, of_key=True))
            continue
        setting = {dotted: here.sub((dotted,)) for dotted in value}
        settings.append(setting)
    return settings or [{}]


def with_seed(document: Document, seed: int) -> Document:
    """Return the document with this seed, and without an axis of seeds."""
    grid = document.tree.get("grid")
    if isinstance(grid, dict) and "seed" in grid:
        rest = document.sub(("grid",)).without("seed")
        document = document.replace("grid", rest)
    position = Position(f"--seed {seed}")
    value = Document(seed, values={(): position})
    return document.replace("seed", value)
