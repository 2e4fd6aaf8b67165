"""A grid on a real Slurm, which the benchmark's script makes on this machine."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "slurm_on_loopback.py"


@pytest.mark.slow
def test_a_grid_on_a_real_slurm(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="there is no submitit: python -m pip install 'simssl[slurm]'")
    reason = runpy.run_path(str(SCRIPT))["lacking"]()
    if reason:
        pytest.skip(reason)
    result = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, cwd=tmp_path, env=os.environ)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.splitlines()[-1] == "all is as it should be"
