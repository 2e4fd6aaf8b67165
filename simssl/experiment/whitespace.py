"""White space in YAML: tabs, which YAML 1.2 allows between tokens, and characters that only look like spaces."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

UNSEEN = "\u200b\u2060\ufeff"
"""Characters of no width, which a copied text may hold."""
TAB_INDENTS = "a tab stands in the indentation; write spaces"


class TabsBetweenTokens:
    """A part of a loader, before PyYAML's own: tabs are skipped as spaces are, but not in the indentation of a line."""

    column: int
    pointer: int
    buffer: str
    flow_level: int
    peek: Any
    forward: Any

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()  # type: ignore[misc]
        while self.peek() == "\t" and self._may_skip():
            self.forward()
            super().scan_to_next_token()  # type: ignore[misc]

    def _may_skip(self) -> bool:
        """True within brackets, behind the first token of a line, and in a line without one."""
        begins = self.pointer - self.column
        is_behind_a_token = self.buffer[begins : self.pointer].strip(" \t") != ""
        rest = re.compile(r"[ \t]*").match(self.buffer, self.pointer)
        assert rest is not None
        is_empty = self.buffer[rest.end()] in "\r\n\0#"
        return bool(self.flow_level) or is_behind_a_token or is_empty


def lookalike(text: str, is_key: bool = True) -> str | None:
    """The words for a character of a text that only looks like a space, or like nothing; None if there is none.

    A key has no such character. A value may have spaces of any kind between its letters, as a file's name does.
    """
    beginning = text[: len(text) - len(text.lstrip())]
    end = text[len(text.rstrip()) :]
    spaces = text if is_key else beginning + end
    wrong = [character for character in text if character in UNSEEN]
    wrong += [character for character in spaces if character.isspace() and character not in " \t\r\n"]
    if not wrong:
        return None
    name = unicodedata.name(wrong[0], "unknown space").lower()
    return f"a {name} (U+{ord(wrong[0]):04X})"


def lookalike_near(text: str, first: int, last: int) -> str:
    """Words that name a lookalike in these lines of a text, counted from 0; "" if there is none."""
    first = max(0, first)
    lines = text.splitlines()
    for number, line in enumerate(lines[first : last + 1], start=first + 1):
        found = lookalike(line)
        if found:
            return f"; in line {number} stands {found}, where YAML has spaces alone"
    return ""
