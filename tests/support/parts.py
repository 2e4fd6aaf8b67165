"""Parts of benchmarks/on_cuda.py, in processes forked from one that has imported what takes seconds."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from processes import FORK

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def rows_of(name: str, folder: Path) -> list[dict[str, Any]]:
    """The rows that `python benchmarks/cuda_parts/NAME.py` writes on a CPU, in small sizes and without MNIST."""
    output = folder / "rows"
    process = FORK.Process(target=_run, args=(name, output))
    process.start()
    process.join(170)
    process.kill()
    assert process.exitcode == 0
    return [json.loads(line) for line in output.read_text().splitlines()]


def _run(name: str, output: Path) -> None:
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
    script = BENCHMARKS / "cuda_parts" / f"{name}.py"
    sys.path[:0] = [str(script.parent), str(BENCHMARKS)]
    sys.argv = [str(script), "--device", "cpu", "--tiny", "--data", str(output.parent / "no-data")]
    runpy.run_path(str(script), run_name="__main__")
