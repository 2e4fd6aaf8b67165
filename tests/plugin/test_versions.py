"""The versions of simssl that a plugin requires are shown, checked before it is imported, and explained."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from packaging.version import Version

import simssl as package_of_ours
from simssl import api
from simssl.plugin import versions
from simssl.plugin.versions import CHANGES, Change, requirement, shortcoming
from simssl.scaffold import _template

Command = Callable[..., Result]
Write = Callable[..., Path]
Install = Callable[..., Path]


def test_a_requirement_that_is_met_is_shown(simssl: Command, package: Install) -> None:
    requires = ("torch>=2", "simssl <0.9, >=0.1")
    package("fitting-dist", "fitting", _template("tracker.py"), requires, tracker="fitting")
    rows = {row["name"]: row for row in json.loads(simssl("plugins", "--check", "--json").stdout)}
    assert (rows["fitting"]["requires"], rows["fitting"]["status"]) == ("simssl>=0.1,<0.9", "ok")
    assert rows["simvae"]["requires"] == ""
    assert "simssl>=0.1,<0.9" in simssl("plugins").stdout


def test_a_plugin_for_other_versions_is_named_and_disturbs_no_other(
    simssl: Command, small: Write, package: Install
) -> None:
    package("future-dist", "made_for_the_future", "raise SystemExit", ("simssl>=9",), objective="future")
    reason = (
        "objective 'future' of future-dist 1.0 (made_for_the_future) is broken: it requires simssl>=9, and this is "
    )
    reason += f"{package_of_ours.__version__} (simssl.api {api.VERSION})"
    for words, code in ((("plugins",), 0), (("plugins", "--check"), 1)):
        listed = simssl(*words)
        assert listed.exit_code == code
        assert [line.split()[-1] for line in listed.stdout.splitlines() if " future " in line] == ["BROKEN"]
        assert reason in listed.stdout
    used = simssl("check", small(objective={"name": "future"}))
    assert used.exit_code == 2
    assert reason in used.stderr
    assert "made_for_the_future" not in sys.modules
    assert simssl("run", small(objective={"name": "random"})).exit_code == 0


@pytest.mark.parametrize(
    ("lines", "specifier"),
    [
        ([], ""),
        (["torch>=2", "simssl"], ""),
        (["simssl>=0.1,<0.2"], ">=0.1,<0.2"),
        (["SimSSL (>=0.1)", "simssl<0.2"], ">=0.1,<0.2"),
        (["simssl[fid]~=0.1.0; python_version > '3'"], "~=0.1.0"),
        (["simssl>=9; extra == 'later'", "simssl>=9; python_version < '3'"], ""),
        (["simssl-extras>=9", "simssl_plugins>=9", "simssl >="], ""),
    ],
)
def test_what_is_required_of_simssl(lines: list[str], specifier: str) -> None:
    assert requirement(lines) == specifier


@pytest.mark.parametrize(
    ("specifier", "version", "fits"),
    [
        ("", "0.1.0", True),
        (">=0.1,<0.2", "0.1.7", True),
        (">=0.1,<0.2", "0.2.0", False),
        (">=0.1,<0.2", "0.1.0.dev1", False),
        (">=0.1.0.dev0", "0.1.0.dev1", True),
        ("==0.1.*", "0.1.3", True),
        ("~=1.2", "2.0", False),
    ],
)
def test_a_version_fits_as_pip_says(specifier: str, version: str, fits: bool) -> None:
    assert (shortcoming(specifier, version) is None) == fits


def test_what_broke_a_plugin_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = (Change("0.2", "Terms is a list."), Change("0.4", "Data has no test."), Change("0.6", "Split is gone."))
    monkeypatch.setattr(versions, "CHANGES", changes)
    for specifier in (">=0.1,<0.2", "==0.1.*", "~=0.1.0", "<0.2"):
        told = shortcoming(specifier, "0.5")
        assert told is not None
        assert told.endswith("what has changed for plugins since: 0.2: Terms is a list. 0.4: Data has no test.")
    assert str(shortcoming(">=0.3,<0.4", "0.5")).endswith("since: 0.4: Data has no test.")
    for too_new in (">=0.7", ">=0.3"):
        assert "what has changed" not in str(shortcoming(too_new, "0.2"))


def test_the_version_of_the_api_counts_what_broke_plugins() -> None:
    assert 1 + len(CHANGES) == api.VERSION
    since = [Version(change.since) for change in CHANGES]
    assert since == sorted(since)
    assert all(version <= Version(package_of_ours.__version__) for version in since)


def test_version_says_that_of_torch_and_cuda(simssl: Command) -> None:
    said = simssl("--version")
    assert said.exit_code == 0
    assert said.stdout.startswith(f"simssl {package_of_ours.__version__} (simssl.api {api.VERSION}), Python 3.")
    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    assert said.stdout.endswith(f", torch {torch.__version__.partition('+')[0]}, {cuda}\n")
