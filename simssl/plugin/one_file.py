"""A plugin that is one file, without a package. It is known only where `--plugin` names it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from types import ModuleType

from simssl.errors import STOPS, UserError, one_line
from simssl.plugin.plugin import KINDS, Plugin, hook


def plugins_of(path: Path) -> list[Plugin]:
    """Run a file and return its plugins: one for each hook that it defines. Each has the file's name.

    UserError if the file cannot be read or run, or has no hook.
    """
    if path.suffix != ".py":
        raise UserError(f"--plugin {path} names no Python file (*.py)")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"--plugin {path} cannot be read: {error.strerror}") from error
    file = str(path.resolve())
    sha256 = hashlib.sha256(content).hexdigest()
    module = _run(file, sha256, content)
    kinds = [kind for kind in KINDS if hasattr(module, hook(kind))]
    if not kinds:
        hooks = ", ".join(f"{hook(kind)}()" for kind in KINDS)
        raise UserError(f"--plugin {path} has no hook: define one of {hooks} under @simssl.hookimpl")
    version = f"sha256:{sha256[:12]}"
    return [Plugin(kind, path.stem, file, "(file)", version, sha256=sha256) for kind in kinds]


def module_name(file: str, sha256: str) -> str:
    """Return the name of the file's module in this process."""
    text = f"{file} {sha256}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"simssl_file_{digest[:16]}"


def _run(file: str, sha256: str, content: bytes) -> ModuleType:
    """The module of this content, from which the SHA-256 was computed."""
    module = ModuleType(module_name(file, sha256))
    module.__file__ = file
    sys.modules[module.__name__] = module  # where pydantic and inspect look for what a class is made of
    try:
        code = compile(content, file, "exec", dont_inherit=True)
        exec(code, vars(module))
    except STOPS:
        raise
    except BaseException as error:  # as in an installed plugin
        raise UserError(f"--plugin {file} is broken: running it raised {one_line(error, [file])}") from error
    return module
