"""Listing and help load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "numpy", "sklearn", "pydantic", "yaml", "rich", "simssl_plugins")


@pytest.mark.parametrize(
    "words", [["--help"], ["plugins"], ["run", "--help"], ["encode", "--help"], ["--version"], ["plugins", "--json"]]
)
def test_start_up_does_not_import(words: list[str]) -> None:
    code = (
        "import sys\n"
        "from simssl.cli import cli\n"
        f"try: cli({words!r}, prog_name='simssl')\n"
        "except SystemExit: pass\n"
        f"print('LOADED', *(m for m in {HEAVY!r} if m in sys.modules))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "LOADED"


def test_a_wrong_file_is_told_without_torch(tmp_path: object) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from simssl.experiment.config import load\n"
        "from simssl.registry import Registry\n"
        f"file = Path({str(tmp_path)!r}) / 'e.yaml'; file.write_text('nme: x')\n"
        "try: load(file, Registry())\n"
        "except Exception as error: print(error)\n"
        "print('torch' in sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "did you mean 'name'?" in result.stdout
    assert result.stdout.splitlines()[-1] == "False"
