"""Install with pip, and hold every dependency at the lowest version that pyproject.toml allows: for `tox -e floor`.

python .ci/floor.py ARGUMENTS      (those of pip install)
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def lowest() -> list[str]:
    """A constraint NAME==VERSION for each dependency with a lower bound, those of the extras among them."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    requirements = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        requirements += extra
    bounds = [re.fullmatch(r"([\w.-]+)>=([\w.]+)", text) for text in requirements]
    return sorted({f"{bound[1]}=={bound[2]}" for bound in bounds if bound})


def main() -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(lowest()) + "\n")
        file.flush()
        return subprocess.call([sys.executable, "-m", "pip", "install", "-c", file.name, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
