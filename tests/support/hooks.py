"""The worked example of each hook."""

from __future__ import annotations

from pathlib import Path

from simssl import scaffold

TEMPLATES = Path(scaffold.__file__).parent / "templates"


def example(kind: str) -> str:
    """Return the module that `simssl new` copies for a plugin of this kind."""
    return (TEMPLATES / f"{kind}.py").read_text(encoding="utf-8")
