"""Install those wheels of the pack that this machine needs into the pack's folder `site`, and unpack its data.

A wheel is needed if simssl, its tests, or another wheel that is installed requires it, and this Python has it not, or
in another version. No network is asked for anything. The file stands alone: it lies beside `wheels` in the pack.
"""

from __future__ import annotations

import lzma
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

try:
    from packaging.requirements import Requirement
except ImportError:  # pip brings its own
    from pip._vendor.packaging.requirements import Requirement  # type: ignore[no-redef]

HERE = Path(__file__).resolve().parent
MNIST = tuple(f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
WANTED = ("simssl", "pytest", "pytest-xdist", "lightly")
ALWAYS = "simssl"
"""Its code and its tests have to be those of the pack."""


def metadata_of(wheel: Path) -> list[str]:
    """The lines of a wheel's metadata."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = [name for name in file.namelist() if name.endswith(".dist-info/METADATA") and name.count("/") == 1]
        return file.read(name).decode().splitlines()


def needs_of(wheel: Path, extras: Collection[str] = (), python: str | None = None) -> Iterator[Requirement]:
    """What a wheel requires on Linux, with its `extras`, for the Python that runs this or another one."""
    environment: dict[str, Any] = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"}
    if python:
        environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    for line in metadata_of(wheel):
        if not line:  # the description follows
            return
        if line.startswith("Requires-Dist:"):
            need = Requirement(line.removeprefix("Requires-Dist:").strip())
            if need.marker is None or any(need.marker.evaluate({**environment, "extra": e}) for e in ("", *extras)):
                yield need


def normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def chosen(wheels: dict[str, Path]) -> list[Path]:
    """The wheels that are to be installed. What is required and neither there nor a wheel is told."""
    waiting = [Requirement(name) for name in WANTED if name in wheels]
    taken: dict[str, Path] = {}
    while waiting:
        need = waiting.pop()
        name = normal(need.name)
        if name in taken or (name != ALWAYS and has(need)):
            continue
        if name not in wheels:
            print(f"{need} is required, and neither installed nor among the wheels", file=sys.stderr)
            continue
        taken[name] = wheels[name]
        waiting += needs_of(wheels[name], need.extras)
    return list(taken.values())


def has(need: Requirement) -> bool:
    """Whether this Python has what is required."""
    try:
        return bool(need.specifier.contains(version(need.name), prereleases=True))
    except PackageNotFoundError:
        return False


def unpack_data() -> None:
    for file in (HERE / "data").rglob("*.xz"):
        whole = file.with_suffix("")
        if not whole.exists():
            with lzma.open(file) as compressed, whole.open("wb") as to:
                shutil.copyfileobj(compressed, to)


def main() -> int:
    unpack_data()
    site = HERE / "site"
    if site.exists():
        return 0
    wheels = {normal(file.name.partition("-")[0]): file for file in (HERE / "wheels").glob("*.whl")}
    files = chosen(wheels)
    print("installed for this measurement:", *(file.name for file in files), file=sys.stderr)
    beside = HERE / "site.new"
    options = ("--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir", "--target", str(beside))
    code = subprocess.call([sys.executable, "-m", "pip", "install", *options, *map(str, files)])
    if code == 0:
        beside.rename(site)
    return code


if __name__ == "__main__":
    sys.exit(main())
