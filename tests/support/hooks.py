"""The worked example of each hook."""

from __future__ import annotations

import inspect
import re

from simssl.plugin import hooks


def example(kind: str) -> str:
    """The code block in a hook's docstring."""
    (code,) = re.findall(r"```python\n(.*?)```", inspect.getdoc(getattr(hooks, f"simssl_{kind}")) or "", re.S)
    return str(code)
