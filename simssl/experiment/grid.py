"""A document with a `grid` becomes one document for each combination of the grid's axes.

An axis is a dotted key of the experiment with a list of values, each replacing the whole subtree; or a label
of the user's own with a list of mappings, each setting several dotted keys at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable

from simssl.experiment.document import Document, ExperimentError, Position, Problem, describe
from simssl.experiment.validation import suggestion

Setting = dict[str, Document]
"""What one value of an axis sets: dotted keys and their new subtrees."""

FIXED = ("name", "grid")
"""Keys that no axis can set: the runs of a grid belong to one experiment."""


def cells(
    document: Document, sections: Collection[str], overrides: Iterable[str], problems: list[Problem]
) -> list[Document]:
    """The document once for each combination; what is wrong with the grid is appended to `problems`.

    `overrides` are the dotted keys that the user gave by option: one that every cell replaces is a mistake.
    """
    grid, base = document.tree.get("grid"), document.without("grid")
    if not grid and not isinstance(grid, list):
        return [base]
    if not isinstance(grid, dict):
        problems.append(Problem(document.position(("grid",)), f"'grid' is a mapping of axes, not {describe(grid)}"))
        return [base]
    axes = [_axis(document, name, sections, problems) for name in grid]
    settings = [_merged(combination) for combination in itertools.product(*axes)]
    problems += [problem for key in overrides if (problem := _shadowed(document, key, settings))]
    return [_cell(base, setting, problems) for setting in settings]


def _merged(combination: tuple[Setting, ...]) -> Setting:
    return dict(itertools.chain.from_iterable(setting.items() for setting in combination))


def _shadowed(document: Document, override: str, settings: list[Setting]) -> Problem | None:
    """An option that changes nothing, since the grid sets the same key (or one around it) in every run."""
    covers = [key for key in settings[0] if override == key or override.startswith(f"{key}.")]
    if not (covers and all(any(k == override or override.startswith(f"{k}.") for k in s) for s in settings)):
        return None
    message = f"the grid sets '{covers[0]}' in every run; leave it out with -s 'grid={{}}', or change the grid"
    return Problem(document.position(tuple(override.split("."))), message)


def _cell(base: Document, setting: Setting, problems: list[Problem]) -> Document:
    for dotted, value in setting.items():
        try:
            base = base.replace(dotted, value)
        except ExperimentError as error:
            problems += error.problems
    return base


def _axis(document: Document, name: str, sections: Collection[str], problems: list[Problem]) -> list[Setting]:
    """What each value of the axis sets."""
    values = document.tree["grid"][name]
    if not isinstance(values, list) or not values:
        message = f"the axis '{name}' is a list of values, not {'empty' if values == [] else describe(values)}"
        problems.append(Problem(document.position(("grid", name)), message))
        return [{}]
    hint = suggestion(name.split(".")[0], [section for section in sections if section not in FIXED])
    settings: list[Setting] = []
    for i, value in enumerate(values):
        here = document.sub(("grid", name, i))
        if name.split(".")[0] in sections and name not in FIXED:
            settings.append({name: here})
        elif not isinstance(value, dict):
            message = f"the axis '{name}' is no key that a grid can set, so its values are mappings of keys{hint}"
            problems.append(Problem(here.position(()), message))
        elif fixed := [key for key in value if key in FIXED]:
            message = f"'{fixed[0]}' is the same for all runs of a grid; the axis '{name}' cannot set it{hint}"
            problems.append(Problem(here.position((fixed[0],), of_key=True), message))
        else:
            settings.append({dotted: document.sub(("grid", name, i, dotted)) for dotted in value})
    return settings or [{}]


def with_seed(document: Document, seed: int) -> Document:
    """The document with this seed, and without a grid over seeds."""
    grid = document.tree.get("grid")
    if isinstance(grid, dict) and "seed" in grid:
        rest = document.sub(("grid",)).without("seed")
        document = document.replace("grid", rest)
    return document.replace("seed", Document(seed, values={(): Position(f"--seed {seed}")}))
