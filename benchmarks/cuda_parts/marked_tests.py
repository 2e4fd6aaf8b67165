"""The tests that are marked `cuda`, a row each."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from rows import Settings, begin, row

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 8
SIDE_BY_SIDE = re.compile(r"^\[gw\d+\] \[ *\d+%\] (?P<outcome>[A-Z]+) (?P<test>\S.*)$")
ONE_BY_ONE = re.compile(r"^(?P<test>\S+::.*?) (?P<outcome>PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b")
WORDS = re.compile("cuda|conformance")
"""What a file with such tests has in it: the conformance suite has some, too."""
NO_TESTS = 5
"""pytest's exit code if it has found none."""
UNKNOWN = "Unknown marker(s)"
"""What pytest says if no test can have the mark."""


def main() -> None:
    settings = begin()
    process = subprocess.Popen(command(settings), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout
    counted: Counter[str] = Counter()
    unknown = False
    for line in process.stdout:
        found = SIDE_BY_SIDE.match(line) or ONE_BY_ONE.match(line)
        if found:
            counted[found["outcome"].lower()] += 1
            tell(found["test"].strip(), found["outcome"].lower())
        else:
            print(line, end="", flush=True)
            unknown = unknown or UNKNOWN in line
    code = NO_TESTS if process.wait() and unknown else process.wait()
    failed = counted["failed"] + counted["error"]
    if code == NO_TESTS and settings.on_cuda:
        row("tests marked cuda", error="there are none")
    elif code not in (0, 1, NO_TESTS):
        row("tests marked cuda", error=f"pytest ended with {code}", **counted)
    else:
        goal = {"goal": "tests"} if counted["passed"] else {}
        row("tests marked cuda", failed, "failed", **goal, **counted)


def command(settings: Settings) -> list[str]:
    """pytest's, of the files that have to do with CUDA: to collect the others takes seconds."""
    tests = ROOT / "tests"
    files = sorted(file for file in tests.rglob("test_*.py") if WORDS.search(file.read_text(encoding="utf-8")))
    if settings.tiny:
        files = [file for file in files if file.name in ("test_pool.py", "test_launcher.py")]
    words = [sys.executable, "-m", "pytest", "-v", "-m", "cuda", "--tb=short", "-p", "no:cacheprovider"]
    if not settings.tiny and importlib.util.find_spec("xdist"):
        words += ["-n", str(WORKERS), "--dist", "worksteal"]
    return [*words, *(str(file.relative_to(ROOT)) for file in files)]


def tell(test: str, outcome: str) -> None:
    if outcome in ("failed", "error"):
        row(test, 1, "failed", goal="tests", error=outcome)
    else:
        row(test, outcome=outcome)


if __name__ == "__main__":
    main()
