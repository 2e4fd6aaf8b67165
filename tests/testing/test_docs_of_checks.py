"""docs/testing.md against the checks, the fixtures and the worked example of an oracle."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hooks import example

from simssl.api import Context, Evaluator, Objective
from simssl.plugin.registry import KINDS, Registry
from simssl.testing import CHECKS
from simssl.testing.checks import COMMON

pytest_plugins = ["simssl.testing.pytest_plugin"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()


def table(heading: str) -> dict[str, str]:
    """The rows of the table below a heading: name -> what is said of it."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", section, re.M))


def said(function: object) -> str:
    """A docstring's first paragraph, in one line."""
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())


HEADINGS = {
    "dataset": "Data sets",
    "backbone": "Backbones",
    "objective": "Objectives",
    "evaluator": "Evaluators",
    "tracker": "Trackers",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_is_listed_as_its_docstring_says(kind: str) -> None:
    general = {check.__name__ for check in COMMON}
    own = {name: said(check) for name, check in CHECKS[kind].items() if name not in general}
    assert all(own.values())
    assert table(HEADINGS[kind]) == own
    assert list(table(HEADINGS[kind])) == list(own)


def test_the_checks_of_every_kind_are_listed() -> None:
    assert table("Every kind") == {check.__name__: said(check) for check in COMMON}


def test_every_fixture_is_listed() -> None:
    from simssl.testing import pytest_plugin

    fixtures = {
        name: said(fixture.__wrapped__ if hasattr(fixture, "__wrapped__") else fixture)
        for name, fixture in vars(pytest_plugin).items()
        if name.startswith("small_")
    }
    assert table("Fixtures") == fixtures


def test_which_methods_declare_that_order_does_not_matter() -> None:
    registry = Registry(builtins_only=True)
    trained = {name for name in registry.names("objective") if registry.load("objective", name).trained}
    declared = {name for name in trained if registry.load("objective", name).permutation_invariant}
    assert trained - declared == {"moco"}
    assert "all built-in ones but `moco`" in PAGE


def test_every_built_in_evaluator_has_an_oracle() -> None:
    registry = Registry(builtins_only=True)
    for name in registry.names("evaluator"):
        assert registry.load("evaluator", name).oracle() is not None, name


def test_the_oracle_on_the_page_is_the_docstrings_and_holds(simssl: Callable[..., Result], tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(@classmethod.*?)```", PAGE, re.S)
    (documented,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(Evaluator.oracle) or "", re.S)
    assert code == documented
    worked = example("evaluator").replace("import Evaluator, Metric,", "import Evaluator, Metric, Oracle,")
    file = tmp_path / "with_oracle.py"
    file.write_text(worked.replace("    def run(", textwrap.indent(code, "    ") + "\n    def run("))
    checked = simssl("plugins", "--plugin", file, "--check", "with_oracle").stdout
    assert "    ok        oracle_reaches_its_values_and_noise_falls_to_chance\n" in checked
    assert "FAILED" not in checked


def test_the_test_of_an_authors_own_runs(
    small_context: Context, small_batch: Callable[[int], Any], package: Callable[..., Path]
) -> None:
    package("example-dist", "example_tested", example("objective"), objective="example")
    *_, code = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    names = {"MyObjective": Registry().load("objective", "example")}
    exec(code, names)
    names["test_my_terms"](small_context, small_batch)


def test_declarations_on_the_page_are_attributes() -> None:
    for name in ("expected_failures", "permutation_invariant", "capturable"):
        assert re.search(rf"`{name}\b", PAGE)
        assert hasattr(Objective, name)
