"""How long `simssl --help` and `simssl plugins` take to start, as a ratio to `python -c "import click"`: with what is
installed, and with fifty plugins of others beside it.

Medians of seven, interleaved, after one warm-up. Run it with: python benchmarks/startup.py
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import machine

ROUNDS, PLUGINS = 7, 50
KINDS = ("dataset", "backbone", "objective", "evaluator", "tracker")


def install(folder: Path, plugins: int) -> None:
    """Write so many distributions of one plugin each, of one kind after the other, as pip would, each for this simssl.

    A module that is imported fails.
    """
    for number in range(plugins):
        name, kind = f"stranger{number}", KINDS[number % len(KINDS)]
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{name}.py").write_text("raise AssertionError('imported')\n")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: simssl>=0.1\nRequires-Dist: torch\n"
        )
        (info / "entry_points.txt").write_text(f"[simssl.{kind}s]\n{name} = {name}\n")


def seconds(command: Sequence[str], environment: dict[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start


def main() -> None:
    simssl = shutil.which("simssl")
    if simssl is None:
        sys.exit("simssl is not on the path: install it first")
    with tempfile.TemporaryDirectory() as folder:
        install(Path(folder), PLUGINS)
        alone = dict(os.environ)
        crowded = alone | {"PYTHONPATH": os.pathsep.join(filter(None, (folder, alone.get("PYTHONPATH"))))}
        commands = {
            'python -c "import click"': ((sys.executable, "-c", "import click"), alone),
            "simssl --help": ((simssl, "--help"), alone),
            "simssl plugins": ((simssl, "plugins"), alone),
            "simssl run --help": ((simssl, "run", "--help"), alone),
            f"simssl --help, {PLUGINS} more plugins": ((simssl, "--help"), crowded),
            f"simssl plugins, {PLUGINS} more plugins": ((simssl, "plugins"), crowded),
        }
        for command, environment in commands.values():
            seconds(command, environment)
        rounds = [{name: seconds(*command) for name, command in commands.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in commands}
    reference = medians['python -c "import click"']
    print(f"{machine.about('click')}; medians of {ROUNDS}")
    for name, median in medians.items():
        print(f"{name:36} {1000 * median:7.1f} ms   ratio {median / reference:.2f}")


if __name__ == "__main__":
    main()
