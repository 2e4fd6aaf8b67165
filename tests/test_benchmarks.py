"""The benchmarks' scripts follow the code that they measure: each can be imported, which measures nothing."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted([*BENCHMARKS.glob("*.py"), *(BENCHMARKS / "cuda_parts").glob("*.py")])
SHARED = ("comparisons", "hand_written", "lightly_loop", "lightly_methods", "machine", "random_images", "rows", "runs")
"""Modules that are no scripts."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_it_can_be_imported(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(script.parent))
    if script.stem.startswith("lightly_"):
        pytest.importorskip("lightly", reason="lightly is not installed, which it compares with")
    module = importlib.import_module(script.stem)
    assert module.__doc__
    assert hasattr(module, "main") or script.stem in SHARED
