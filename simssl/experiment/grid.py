"""A document with a `grid` becomes one document for each combination of the grid's axes.

An axis is a dotted key of the experiment with a list of values, each replacing the whole subtree; or a label
of the user's own with a list of mappings, each setting several dotted keys at once.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

from simssl.experiment.document import Document, ExperimentError, Place, Problem, describe
from simssl.experiment.validation import suggestion

Setting = list[tuple[str, Document]]
"""What one value of an axis sets: dotted keys and their new subtrees."""


def cells(document: Document, sections: Collection[str], problems: list[Problem]) -> list[Document]:
    """The document once for each combination; what is wrong with the grid is appended to `problems`."""
    grid, base = document.tree.get("grid"), document.without("grid")
    if not grid and not isinstance(grid, list):
        return [base]
    if not isinstance(grid, dict):
        problems.append(Problem(document.place(("grid",)), f"'grid' is a mapping of axes, not {describe(grid)}"))
        return [base]
    axes = [_axis(document, name, sections, problems) for name in grid]
    return [_cell(base, combination, problems) for combination in itertools.product(*axes)]


def _cell(base: Document, combination: tuple[Setting, ...], problems: list[Problem]) -> Document:
    for dotted, value in itertools.chain.from_iterable(combination):
        try:
            base = base.replace(dotted, value)
        except ExperimentError as error:
            problems += error.problems
    return base


def _axis(document: Document, name: str, sections: Collection[str], problems: list[Problem]) -> list[Setting]:
    values = document.tree["grid"][name]
    if not isinstance(values, list) or not values:
        message = f"the axis '{name}' is a list of values, not {'empty' if values == [] else describe(values)}"
        problems.append(Problem(document.place(("grid", name)), message))
        return [[]]
    if name.split(".")[0] in sections:
        return [[(name, document.sub(("grid", name, i)))] for i in range(len(values))]
    settings: list[Setting] = []
    for i, value in enumerate(values):
        if isinstance(value, dict):
            settings.append([(dotted, document.sub(("grid", name, i, dotted))) for dotted in value])
        else:
            hint = suggestion(name.split(".")[0], sections)
            message = f"the axis '{name}' is no key of the experiment, so its values are mappings of keys{hint}"
            problems.append(Problem(document.place(("grid", name, i)), message))
    return settings or [[]]


def with_seed(document: Document, seed: int) -> Document:
    """The document with this seed, and without a grid over seeds."""
    grid = document.tree.get("grid")
    if isinstance(grid, dict) and "seed" in grid:
        rest = document.sub(("grid",)).without("seed")
        document = document.replace("grid", rest)
    return document.replace("seed", Document(seed, values={(): Place(f"--seed {seed}")}))
