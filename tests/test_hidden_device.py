"""The CUDA device is hidden from all tests but those that are marked `cuda`. What hides it is tests/conftest.py."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FAKE = """
import os
import torch

begun = []
torch.cuda.is_available = lambda: True
torch.cuda.device_count = lambda: 2
torch.cuda.init = lambda: begun.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
"""
"""A plugin of pytest that makes torch count two devices. It notes what CUDA may see when it is begun."""

TESTS = """
import os
import subprocess
import sys

import pytest
import torch


def seen():
    code = "import os; print(os.environ.get('CUDA_VISIBLE_DEVICES'))"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return torch.cuda.is_available(), torch.cuda.device_count(), child.stdout.strip()


@pytest.fixture(scope="module")
def early():
    return seen()


def test_hidden(early):
    assert early == seen() == (False, 0, "")


@pytest.mark.cuda
def test_shown():
    import fake_device

    assert seen() == (True, 2, "0,1")
    assert fake_device.begun == ["0,1"]


def test_hidden_again():
    assert seen() == (False, 0, "")


@pytest.mark.parametrize("check", ["another", "step_is_captured_on_cuda"])
def test_conformance(check):
    assert torch.cuda.is_available() == (check == "step_is_captured_on_cuda")
"""


def run_tests(folder: Path, *words: str, visible: str) -> str:
    """Run these tests below our conftest.py, and return what pytest says."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "fake_device.py").write_text(FAKE)
    file = folder / "test_device.py"
    file.write_text(TESTS)
    path = os.pathsep.join([str(folder), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "-p", "no:cacheprovider", str(file)]
    result = subprocess.run(
        [*command, *words], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    return result.stdout + result.stderr


@pytest.mark.parametrize(("words", "passed"), [((), 5), (("-m", "cuda"), 2), (("-m", "not cuda"), 3)])
def test_a_marked_test_sees_the_device_and_the_others_do_not(
    words: tuple[str, ...], passed: int, tmp_path: Path
) -> None:
    said = run_tests(tmp_path, "-p", "fake_device", *words, visible="0,1")
    assert re.search(rf"=+ {passed} passed\b", said), said


def test_without_a_device_a_marked_test_is_skipped(tmp_path: Path) -> None:
    said = run_tests(tmp_path, "-m", "cuda", visible="")
    assert re.search(r"=+ 2 skipped, 3 deselected\b", said), said
    assert "there is no CUDA device" in said
