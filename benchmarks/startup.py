"""How long `simssl --help` and `simssl plugins` take to start, as a ratio to `python -c "import click"`.

Medians of seven, interleaved, after one warm-up. Run it with: python benchmarks/startup.py
"""

from __future__ import annotations

import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

ROUNDS = 7


def seconds(command: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    simssl = shutil.which("simssl")
    if simssl is None:
        sys.exit("simssl is not on the path: install it first")
    commands = {
        'python -c "import click"': (sys.executable, "-c", "import click"),
        "simssl --help": (simssl, "--help"),
        "simssl plugins": (simssl, "plugins"),
        "simssl run --help": (simssl, "run", "--help"),
    }
    for command in commands.values():
        seconds(command)
    rounds = [{name: seconds(command) for name, command in commands.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in commands}
    reference = medians['python -c "import click"']
    print(f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, medians of {ROUNDS}")
    for name, median in medians.items():
        print(f"{name:28} {1000 * median:7.1f} ms   ratio {median / reference:.2f}")


if __name__ == "__main__":
    main()
