"""benchmarks/on_cuda.py: every part runs here; whatever one does, the others and what was measured are whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from parts import BENCHMARKS, rows_of

SCRIPT = BENCHMARKS / "on_cuda.py"
TINY = ("--device", "cpu", "--tiny")

ROWS = {
    "rates": ["a sum of two vectors", "a product of 128 x 128 in float32", "launched eagerly"],
    "smoke": ["120 views, float32", "120 views, tf32", "120 views, bfloat16"],
    "step_table": ["MLP, simvae", "ResNet-18, simclr", "MLP, deep_cluster"],
    "replay_profile": ["MNIST, SimVAE, 120 views: kernels a step", "aten::"],
    "by_hand": ["simssl, float32", "by hand, 1 workers", "by hand, 0 workers"],
    "accuracies": ["mnist_fast.yaml, float32: kNN", "simvae, 1,200 views: kNN", "random, 1,200 views: kNN"],
    "cifar_epoch": ["bfloat16, channels last: an epoch", "tf32, channels first: an epoch"],
    "evaluators": ["kNN, k = 15", "MLP probe", "Gaussian mixture"],
    "memory_and_jobs": ["memory after capture 3", "streamed beside resident", "--jobs 1", "--jobs 2"],
}
"""Of parts that run in a process that has imported everything: what some of their rows are called."""
COMMANDS = {
    "deterministic": ["captured and eager", "resumed after SIGKILL", "resumed after SIGTERM"],
    "marked_tests": ["tests marked cuda"],
    "beside_lightly": [],
}
"""Of the others, which start commands of their own or need what is not installed."""


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import on_cuda

    return on_cuda


@pytest.fixture
def measure(on_cuda: ModuleType, tmp_path: Path) -> Any:
    """Runs parts, each a program with a limit in seconds, and gives what on_cuda.json has of each."""
    from cuda_runner.process import Part
    from cuda_runner.report import Report

    def run(budget: float = 60.0, least: float = 0.0, **programs: tuple[float, str]) -> dict[str, Any]:
        parts = []
        for name, (limit, program) in programs.items():
            parts.append(Part(name, "a test", limit, (sys.executable, "-c", program)))
        on_cuda.measure(Report(parts, (), tmp_path, {}), budget, least)
        return parts_in(tmp_path)

    return run


def parts_in(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "on_cuda.json").read_text())
    return {part["part"]: part for part in content["parts"]}


def test_every_part_is_tested_here(on_cuda: ModuleType) -> None:
    assert ROWS.keys() | COMMANDS.keys() == set(on_cuda.ABOUT)
    assert sum(limit for limit, _ in on_cuda.ABOUT.values()) == on_cuda.BUDGET


LONG = ("memory_and_jobs", "step_table")
"""The parts that take a dozen seconds or more in small sizes, too."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow if name in LONG else ()) for name in ROWS])
def test_a_part_runs_on_a_cpu_in_small_sizes(name: str, tmp_path: Path) -> None:
    assert_rows(rows_of(name, tmp_path), ROWS[name])


def assert_rows(rows: list[dict[str, Any]], wanted: list[str]) -> None:
    assert [row for row in rows if "error" in row] == []
    names = [row["what"] for row in rows]
    for want in wanted:
        assert any(want in name for name in names), (want, names)
    for row in rows:
        assert "value" not in row or (isinstance(row["value"], int | float) and row["unit"])


@pytest.mark.slow
def test_all_of_it_runs_on_a_cpu_in_small_sizes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(SCRIPT), *TINY, "--out", str(tmp_path)], check=True, timeout=600)
    parts = parts_in(tmp_path)
    for name, wanted in (ROWS | COMMANDS).items():
        part = parts[name]
        assert part["status"] == "ok" or part["status"].startswith("skipped: "), part
        if part["status"] == "ok":
            assert_rows(part["rows"], wanted)


def test_without_a_gpu_every_part_says_that_it_needs_one(tmp_path: Path) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    words = [sys.executable, str(SCRIPT), "--out", str(tmp_path), "--part", "rates"]
    subprocess.run(words, check=True, env=environment, timeout=120)
    assert parts_in(tmp_path)["rates"]["status"] == "skipped: needs CUDA"
    page = (tmp_path / "on_cuda.md").read_text()
    assert "| MNIST, SimVAE, 120 views: a step takes at most 0.3 ms | **not measured** |" in page


def test_it_imports_the_standard_library_alone(tmp_path: Path) -> None:
    """Without site-packages, in which torch, simssl and all the others lie."""
    code = "import sys; sys.argv[0] = 'on_cuda'; import on_cuda; on_cuda.main(['--budget', '1', '--out', sys.argv[1]])"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r}); {code}"]
    subprocess.run([*command, str(tmp_path)], check=True, timeout=60)
    assert {part["status"] for part in parts_in(tmp_path).values()} == {"skipped: no time left"}


GOOD = 'print(\'{"what": "it", "value": 1, "unit": "s"}\')'
LEAVING = """
import subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(100)"
process = subprocess.Popen([sys.executable, "-c", child], stdout=subprocess.PIPE)
process.stdout.readline()
print('{"what": "before", "value": %d, "unit": "pid"}' % process.pid, flush=True)
"""
"""Leaves a process behind that ignores SIGTERM."""
STUBBORN = (
    LEAVING
    + """
print("about to hang", file=sys.stderr, flush=True)
time.sleep(100)
"""
)


def test_a_part_that_hangs_is_killed_with_its_processes_and_keeps_its_rows(measure: Any) -> None:
    parts = measure(first=(20, GOOD), hangs=(3, STUBBORN), last=(20, GOOD))
    assert parts["hangs"]["status"] == "killed after 3 s"
    (row,) = parts["hangs"]["rows"]
    assert row["what"] == "before"
    assert parts["hangs"]["said"] == ["about to hang"]
    assert_dead(row["value"])
    for name in ("first", "last"):
        assert parts[name]["status"] == "ok"
        assert parts[name]["rows"] == [{"what": "it", "value": 1, "unit": "s"}]


def assert_dead(pid: int) -> None:
    """The process is no more, or is about to be reaped."""
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.1)
    raise AssertionError(f"{pid} is alive")


def test_a_part_that_crashes_leaves_the_others_whole(measure: Any) -> None:
    parts = measure(
        raises=(20, f"{GOOD}; raise ValueError('so it is')"),
        crashes=(20, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"),
        talks=(20, "print('no row')"),
        skips=(20, 'print(\'{"skipped": "needs CUDA"}\')'),
        counts=(20, 'print(\'{"what": "tests", "skipped": 3}\')'),
        errs=(20, 'print(\'{"what": "it", "error": "none"}\')'),
        last=(20, GOOD),
    )
    assert parts["raises"]["status"] == "failed: exit code 1 (ValueError: so it is)"
    assert parts["raises"]["rows"] == [{"what": "it", "value": 1, "unit": "s"}]
    assert parts["crashes"]["status"] == "failed: SIGSEGV"
    assert parts["talks"]["said"] == ["no row"]
    assert parts["skips"]["status"] == "skipped: needs CUDA"
    assert parts["counts"]["status"] == "ok"
    assert parts["errs"]["status"] == "failed: 1 of 1 rows"
    assert parts["last"]["status"] == "ok"


def test_an_ended_part_leaves_no_process_behind(measure: Any) -> None:
    parts = measure(leaves=(20, LEAVING), last=(20, GOOD))
    assert parts["leaves"]["status"] == "ok"
    assert parts["leaves"]["seconds"] < 15
    assert_dead(parts["leaves"]["rows"][0]["value"])


def test_the_budget_is_for_all_parts(measure: Any) -> None:
    sleeping = "import time; time.sleep(100)"
    parts = measure(budget=3, least=1, first=(1, sleeping), second=(50, sleeping), third=(50, GOOD))
    assert parts["first"]["status"] == "killed after 1 s"
    assert parts["second"]["status"] == "killed after 2 s"
    assert parts["third"]["status"] == "skipped: no time left"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_was_measured_is_there_when_the_script_is_stopped(signum: int, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import on_cuda; from cuda_runner.process import Part\n"
        "from cuda_runner.report import Report\n"
        f"part = Part('hangs', 'a test', 60, (sys.executable, '-c', {STUBBORN!r}))\n"
        "on_cuda.stop_on_signals()\n"
        f"on_cuda.measure(Report([part, part], (), Path({str(tmp_path)!r}), {{}}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    while "before" not in process.stdout.readline():
        assert process.poll() is None
    written = tmp_path / "on_cuda.json"
    while not written.exists() or '"before"' not in written.read_text():
        time.sleep(0.02)
    process.send_signal(signum)
    code = process.wait(20)
    first, second = json.loads((tmp_path / "on_cuda.json").read_text())["parts"]
    (row,) = first["rows"]
    if signum == signal.SIGKILL:
        os.kill(row["value"], signal.SIGKILL)  # this part does not look after the process above it
        return
    assert code == 0
    name = signal.Signals(signum).name
    assert first["status"] == f"failed: stopped by {name}"
    assert second["status"] == f"skipped: stopped by {name}"
    assert_dead(row["value"])


def test_a_part_ends_when_the_process_above_it_is_gone(tmp_path: Path) -> None:
    part = f"import sys, time; sys.path[:0] = [{str(BENCHMARKS / 'cuda_parts')!r}]; import os, rows\n"
    part += "rows.begin(['--device', 'cpu']); rows.row('it', os.getpid(), 'pid'); time.sleep(100)"
    above = "import subprocess, sys\n"
    above += f"p = subprocess.Popen([sys.executable, '-c', {part!r}], stdout=subprocess.PIPE, start_new_session=True)\n"
    above += "print(p.stdout.readline().decode())"
    result = subprocess.run([sys.executable, "-c", above], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert_dead(json.loads(result.stdout)["value"])


@pytest.mark.parametrize(
    ("goal", "values", "verdict"),
    [
        ({"at_most": 0.8}, [1.2, 0.7], "met"),
        ({"at_most": 0.8}, [1.2], "not met"),
        ({"at_least": 30}, [3, 31], "met"),
        ({"at_least": 30}, [], "not measured"),
        ({"at_most": 0, "every": True}, [0, 1], "not met"),
    ],
)
def test_a_goal_is_judged_by_its_rows(
    on_cuda: ModuleType, tmp_path: Path, goal: dict[str, Any], values: list[float], verdict: str
) -> None:
    from cuda_runner.process import Part
    from cuda_runner.report import Goal, Report

    report = Report([Part("one", "a test", 1, ())], [Goal("it", "The goal", "ms", **goal)], tmp_path, {})
    report.parts[0].rows += [{"what": "it", "value": value, "unit": "ms", "goal": "it"} for value in values]
    report.write()
    assert f"| The goal | **{verdict}** |" in (tmp_path / "on_cuda.md").read_text()


def wheel(folder: Path, name: str, version: str, *requires: str) -> Path:
    """A wheel with nothing in it but its metadata."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {text}" for text in requires]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n\nRequires-Dist: of the text\n")
        file.writestr(f"{name}/__init__.py", "".join(f"x{i} = {i}\n" for i in range(10_000)))
    return path


def test_a_pack_installs_what_is_missing_alone(on_cuda: ModuleType, tmp_path: Path) -> None:
    from cuda_runner.install import chosen

    wheels = {
        "simssl": wheel(tmp_path, "simssl", "1.0", "click>=8", "absent-one>=2", "torch>=2.6", 'new; extra == "no"'),
        "absent-one": wheel(tmp_path, "absent_one", "2.0", "absent-two", "pluggy"),
        "absent-two": wheel(tmp_path, "absent_two", "1.0"),
        "click": wheel(tmp_path, "click", "99.0"),
        "pluggy": wheel(tmp_path, "pluggy", "99.0"),
    }
    assert sorted(file.name.partition("-")[0] for file in chosen(wheels)) == ["absent_one", "absent_two", "simssl"]


def test_a_pack_fits_its_limit(on_cuda: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cuda_runner import pack

    files = {name: wheel(tmp_path, name, "1.0") for name in ("scipy", "numpy")}
    before = files["numpy"].stat().st_size
    monkeypatch.setattr(pack, "LARGE", 0)
    monkeypatch.setattr(pack, "LIMIT", before - 1)  # one of them, packed again
    collected = pack.Wheels(tmp_path, set(), "", files)
    assert pack.fit(tmp_path, collected) == ["scipy"]
    assert files["numpy"].stat().st_size < before
    with zipfile.ZipFile(files["numpy"]) as file:
        assert file.read("numpy/__init__.py").endswith(b"x9999 = 9999\n")


def test_the_torchvision_of_a_torch(on_cuda: ModuleType) -> None:
    from cuda_runner.pack import torchvision_for

    assert torchvision_for("2.6") == "torchvision==0.21.*"
    assert torchvision_for("2.11.0") == "torchvision==0.26.*"
