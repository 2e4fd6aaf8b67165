"""`simssl plugins --check NAME`: the conformance suite without a test file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.scaffold import _template
from simssl.testing import CHECKS, conformance

Command = Callable[..., Result]

WAITS = (
    _template("objective.py")
    .replace("Field(1.0, ge=0)", "1.0")
    .replace(
        "        return Terms(",
        "        if alignment > 100:\n            alignment = alignment / 2\n        return Terms(",
    )
)


def test_a_plugin_that_passes(simssl: Command, package: Callable[..., Path]) -> None:
    package("own-dist", "own_tracker", _template("tracker.py"), tracker="own")
    for name in ("own", "own-dist"):
        result = simssl("plugins", "--check", name)
        assert result.exit_code == 0, result.stdout
        heading, row, *checks = result.stdout.splitlines()
        assert heading.split()[0] == "kind"
        assert row.split()[:2] == ["tracker", "own"]
        assert [line.split() for line in checks] == [["ok", check] for check in CHECKS["tracker"]]


def test_a_plugin_that_fails_is_told_where(simssl: Command, package: Callable[..., Path]) -> None:
    site = package("own-dist", "own_waiting", WAITS, objective="own")
    (line,) = (number for number, text in enumerate(WAITS.splitlines(), 1) if "if alignment" in text)
    (of_class,) = (number for number, text in enumerate(WAITS.splitlines(), 1) if "class Alignment" in text)
    result = simssl("plugins", "--check", "--json", "own")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)
    assert row["status"] == "FAILED"
    checks = {check["check"]: check for check in row["checks"]}
    assert list(checks) == list(CHECKS["objective"])
    failed = {name: check["reason"] for name, check in checks.items() if check["status"] == "FAILED"}
    assert failed.keys() == {
        "parameters_are_bounded",
        "host_never_waits_in_a_step",
        "replayed_steps_are_the_eager_ones",
    }
    assert "Params.weight has no bound" in failed["parameters_are_bounded"]
    assert failed["parameters_are_bounded"].endswith(f"({site}/own_waiting.py:{of_class})")
    assert failed["host_never_waits_in_a_step"].endswith(f"({site}/own_waiting.py:{line})")
    assert f"({site}/own_waiting.py:{line})" in failed["replayed_steps_are_the_eager_ones"]
    assert checks["decoder_returns_images"] == {
        "check": "decoder_returns_images",
        "status": "skipped",
        "reason": "it has no decoder",
    }
    assert "    FAILED    parameters_are_bounded\n" in simssl("plugins", "--check", "own").stdout


def test_a_plugin_that_is_a_file_is_checked(simssl: Command, tmp_path: Path) -> None:
    file = tmp_path / "stripes.py"
    file.write_text(_template("dataset.py"))
    result = simssl("plugins", "--plugin", file, "--check", "stripes")
    assert result.exit_code == 0, result.stdout
    assert "    ok        loading_repeats" in result.stdout


def test_names_alone_import_nothing(simssl: Command, package: Callable[..., Path]) -> None:
    import sys

    package("own-dist", "own_never_imported", "raise SystemExit", tracker="own")
    result = simssl("plugins", "own")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2
    assert "own_never_imported" not in sys.modules
    broken = simssl("plugins", "--check", "own")
    assert broken.exit_code == 1
    assert "importing it raised SystemExit" in broken.stdout


def test_as_a_pytest_test(package: Callable[..., Path], tmp_path: Path) -> None:
    """A case for each check: what does not apply is skipped, what is declared an expected failure, the rest raises."""
    head = "    views = ("
    declared = WAITS.replace(head, '    expected_failures = {"parameters_are_bounded": "it is a logarithm"}\n' + head)
    package("own-dist", "own_declared", declared, objective="own")
    test = conformance("own-dist")
    (mark,) = test.pytestmark  # type: ignore[attr-defined]
    cases = {check: plugin for plugin, check in mark.args[1]}
    assert list(cases) == list(CHECKS["objective"])
    assert mark.kwargs["ids"] == [f"objective-own-{check}" for check in cases]

    def put_to(check: str) -> None:
        (tmp_path / check).mkdir()
        test(cases[check], check, tmp_path / check)

    put_to("parameters_are_documented")
    with pytest.raises(pytest.skip.Exception, match="it has no decoder"):
        put_to("decoder_returns_images")
    with pytest.raises(pytest.xfail.Exception, match="it is a logarithm"):
        put_to("parameters_are_bounded")
    with pytest.raises(AssertionError, match="makes the host wait"):
        put_to("host_never_waits_in_a_step")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("simclear", "did you mean 'simclr'?"), ("quite_another", "`simssl plugins` lists what is installed")],
)
def test_a_name_that_nothing_has_is_told(name: str, sentence: str, simssl: Command) -> None:
    result = simssl("plugins", "--check", name)
    assert result.exit_code == 2
    assert f"no plugin, distribution or kind is called '{name}'; {sentence}" in result.stderr
