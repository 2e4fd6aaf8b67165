"""The pack: a folder that carries the measurement to a Linux machine with Python 3.12, torch, and no network.

    source/      what is needed of the project
    wheels/      the project, and what it needs besides torch
    data/        MNIST, if --data has it
    install.py   installs those wheels that the machine needs, into a folder of the pack
    start        does that, and measures:  ./start OUT [OPTIONS of on_cuda.py]
    README       says so, and what the machine has to have by itself

Wheels come by way of pip, in the versions that are installed here. The large ones are packed again, with LZMA, if the
folder is too large otherwise; and if that is not enough, what is wanted least is left out, and the README says so.
"""

from __future__ import annotations

import importlib.util
import lzma
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cuda_runner.install import MNIST, needs_of
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ("simssl", "plugins", "experiments", "benchmarks", "tests", "docs", "pyproject.toml", "README.md", "LICENSE")
LIMIT = 63 * 2**20
"""Bytes of a pack: a little less than 64 MiB."""
LARGE = 2**19
"""Bytes from which on a wheel is packed again."""
PYTHON = "3.12"
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in range(35, 4, -1)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
TESTING = ("pytest>=8.0", "pytest-xdist>=3.5")
TO_COMPARE = ("lightly",)
"""What a part compares with."""
WANTED_LEAST = (
    ("hf-xet", "tensorboard-data-server", "grpcio"),  # nothing of ours loads them
    ("scipy", "joblib", "threadpoolctl", "narwhals"),  # scikit-learn does, with which one part compares
)
"""Distributions that are left out together if the folder is too large otherwise, the first ones first."""

START = """#!/bin/sh
# Installs what is missing here, without a network, and measures: ./start OUT [OPTIONS of on_cuda.py]
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3}
begun=$(date +%s)
"$python" "$here/install.py" || echo "not all could be installed; what needs it says so" >&2
PYTHONPATH="$here/site${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH
out=$1
shift
budget=$((560 - $(date +%s) + begun))
exec "$python" "$here/source/benchmarks/on_cuda.py" --out "$out" --data "$here/data" --budget "$budget" "$@"
"""

README = """simssl's measurements on CUDA, for a Linux machine (x86-64) with Python {python} and no network.

    ./start OUT                         all of it, in ten minutes; OUT/on_cuda.md is the result
    ./start OUT --device cpu --tiny     on any machine, in small sizes: does it run?

PYTHON names another python3. The machine has to have by itself: {by_itself}.{useful}
What else is needed is in wheels/; what the machine lacks of it is installed into site/, in this folder.
"""


def write_pack(folder: Path, data: Path | None, torch: str, without: Sequence[str]) -> None:
    """Write the pack for a machine with this torch, which has the distributions `without` by itself."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"{folder} is not empty: name a new folder")
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    _copy_source(folder / "source")
    if data is not None:
        _copy_mnist(data, folder / "data")
    had = {canonicalize_name(name) for name in ("torch", *without)}
    collected = Wheels(wheels, had, torchvision_for(torch))
    collected.build_project()
    collected.get([*project_needs(), *TESTING, *TO_COMPARE])
    for script, text in (("install.py", (Path(__file__).parent / "install.py").read_text()), ("start", START)):
        (folder / script).write_text(text)
    (folder / "start").chmod(0o755)
    left_out = fit(folder, collected)
    by_itself = ", ".join([f"torch {torch}", *sorted(without)])
    useful = f" {', '.join(left_out)} did not fit: parts that need them are skipped without." if left_out else ""
    (folder / "README").write_text(README.format(python=PYTHON, by_itself=by_itself, useful=useful))
    print(f"{folder}: {_bytes(folder) / 2**20:.1f} MiB, {len(collected.files)} wheels")
    print(f"the machine has to have by itself: {by_itself}.{useful}")


def _copy_source(source: Path) -> None:
    source.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "*.schema.json", "build", "*.png")
    for name in SOURCE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)


def _copy_mnist(data: Path, to: Path) -> None:
    """Copy MNIST's files, compressed. Nothing if there is none."""
    raw = data / "MNIST" / "raw"
    if not all((raw / name).exists() for name in MNIST):
        print(f"no MNIST in {data}: the pack has none")
        return
    packed = to / "MNIST" / "raw"
    packed.mkdir(parents=True)
    for name in MNIST:
        with (raw / name).open("rb") as whole, lzma.open(packed / f"{name}.xz", "wb") as compressed:
            shutil.copyfileobj(whole, compressed)


def project_needs() -> list[str]:
    """The requirements of the project."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def torchvision_for(torch: str) -> str:
    """The torchvision of a torch: 0.(N + 15) goes with 2.N."""
    _, minor, *_ = torch.split(".")
    return f"torchvision==0.{int(minor) + 15}.*"


@dataclass
class Wheels:
    """The wheels in a folder, by the names of their distributions; those that the machine `had` are not gotten."""

    folder: Path
    had: set[str]
    torchvision: str
    files: dict[str, Path] = field(default_factory=dict)

    def build_project(self) -> None:
        """Make the project's own."""
        words = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(self.folder), str(ROOT)]
        if importlib.util.find_spec("hatchling"):
            words.insert(1, "--no-build-isolation")
        _pip(*words)
        self._look()

    def get(self, texts: Iterable[str]) -> None:
        """Get what these requirements need, and what that needs in its turn."""
        waiting = [Requirement(text) for text in texts]
        while waiting:
            new = self._to_get(waiting)
            if new:
                before = set(self.files)
                self._download(new)
                self._look()
                gotten = set(self.files) - before
            else:
                gotten = set()
            extras = {canonicalize_name(need.name): need.extras for need in waiting}
            waiting = [
                need for name in sorted(gotten) for need in needs_of(self.files[name], extras.get(name, ()), PYTHON)
            ]

    def _to_get(self, needs: Sequence[Requirement]) -> list[str]:
        """What pip is asked for, each name once."""
        asked: dict[str, str] = {}
        for need in needs:
            name = canonicalize_name(need.name)
            if name in self.had or name in self.files or name in asked:
                continue
            asked[name] = self.torchvision if name == "torchvision" else _as_here(need)
        return list(asked.values())

    def _download(self, texts: Sequence[str]) -> None:
        """Get wheels; what has none is built here, where it is plain Python."""
        words = ("download", "--quiet", "--no-deps", *_foreign(), "-d", str(self.folder))
        try:
            _pip(*words, *texts)
        except subprocess.CalledProcessError:
            if len(texts) > 1:
                for text in texts:
                    self._download([text])
                return
            _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(self.folder), *texts)

    def _look(self) -> None:
        """Take note of the wheels that are there."""
        for file in self.folder.glob("*.whl"):
            name, *_ = parse_wheel_filename(file.name)
            self.files[name] = file

    def drop(self, name: str) -> None:
        self.files.pop(name).unlink()


def _as_here(need: Requirement) -> str:
    """The requirement, of the version that is installed here if that will do."""
    try:
        here = version(need.name)
    except PackageNotFoundError:
        here = ""
    if here and need.specifier.contains(here, prereleases=True):
        return f"{need.name}=={here}"
    return f"{need.name}{need.specifier}"


def _foreign() -> Iterator[str]:
    """The options of pip that ask for wheels of the other machine's Python."""
    yield from ("--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp")
    for platform in PLATFORMS:
        yield from ("--platform", platform)


def _pip(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)


def fit(folder: Path, collected: Wheels) -> list[str]:
    """Make the folder fit the limit. Return the names of what had to be left out."""
    left_out: list[str] = []

    def leave_out(*names: str) -> None:
        for name in names:
            if name in collected.files:
                collected.drop(name)
                left_out.append(name)

    for names in WANTED_LEAST:
        if _bytes(folder) > LIMIT:
            leave_out(*names)
    if _bytes(folder) > LIMIT:
        large = [file for file in collected.files.values() if file.stat().st_size > LARGE]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # compression leaves the interpreter's lock alone
            list(pool.map(pack_again, large))
    while _bytes(folder) > LIMIT:
        leave_out(max(collected.files, key=lambda name: collected.files[name].stat().st_size))
    return left_out


def pack_again(wheel: Path) -> None:
    """Compress a wheel with LZMA, which pip reads as well, if it is smaller so."""
    beside = wheel.with_suffix(".new")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(beside, "w", zipfile.ZIP_LZMA) as new:
        for info in old.infolist():
            content = old.read(info)
            info.compress_type = zipfile.ZIP_LZMA
            new.writestr(info, content)
    if beside.stat().st_size < wheel.stat().st_size:
        beside.replace(wheel)
    else:
        beside.unlink()


def _bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
