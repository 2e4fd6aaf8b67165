"""A client of the YAML language server that editors use: what it says of a file, over its standard streams."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

HOW = (
    "there is no YAML language server: npm install --prefix FOLDER yaml-language-server, and set "
    "SIMSSL_YAML_LANGUAGE_SERVER=FOLDER/node_modules/.bin/yaml-language-server"
)
PATIENCE = 60.0
"""Seconds to wait for an answer."""


def installed() -> str | None:
    """Return the server's command, if there is one and node runs it."""
    command = os.environ.get("SIMSSL_YAML_LANGUAGE_SERVER") or shutil.which("yaml-language-server")
    return shutil.which(command) if command and shutil.which("node") else None


class LanguageServer:
    """The server on one folder. Positions are lines and columns from 0."""

    def __init__(self, command: str, folder: Path) -> None:
        self._process = subprocess.Popen([command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._diagnostics: queue.Queue[dict[str, Any]] = queue.Queue()
        self._asked = 0
        threading.Thread(target=self._listen, daemon=True).start()
        self._ask("initialize", {"processId": None, "rootUri": folder.as_uri(), "capabilities": {}})
        self._send({"method": "initialized", "params": {}})
        settings = {"yaml": {"hover": True, "completion": True, "validate": True, "schemaStore": {"enable": False}}}
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": settings}})

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def diagnostics(self, file: Path) -> list[tuple[int, str]]:
        """Open a file, and return the line (from 1) and the message of everything that is wrong with it."""
        item = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": file.read_text()}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": item}})
        answer = self._diagnostics.get(timeout=PATIENCE)
        while answer["uri"] != file.as_uri():
            answer = self._diagnostics.get(timeout=PATIENCE)
        messages = []
        for diagnostic in answer["diagnostics"]:
            line = diagnostic["range"]["start"]["line"] + 1
            messages.append((line, diagnostic["message"]))
        return messages

    def completion(self, file: Path, line: int, column: int) -> dict[str, str]:
        """Return what can stand at a position in an open file, each with what the editor says of it."""
        items = self._ask("textDocument/completion", _position(file, line, column))["items"]
        return {item["label"]: _text(item.get("documentation")) for item in items}

    def hover(self, file: Path, line: int, column: int) -> str:
        """Return what the editor shows over a position in an open file."""
        answer = self._ask("textDocument/hover", _position(file, line, column))
        return _text(answer["contents"]) if answer else ""

    def _ask(self, method: str, params: dict[str, Any]) -> Any:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        answer = self._answers.get(timeout=PATIENCE)
        while answer["id"] != self._asked:
            answer = self._answers.get(timeout=PATIENCE)
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream
        while header := stream.readline():
            length = int(header.split(b":")[1])
            while stream.readline().strip():
                pass
            message = json.loads(stream.read(length))
            if "method" not in message:
                self._answers.put(message)
            elif message["method"] == "textDocument/publishDiagnostics":
                self._diagnostics.put(message["params"])
            elif "id" in message:  # it asks for settings, which it has been sent
                items = (message.get("params") or {}).get("items")
                nothing = None if items is None else [None] * len(items)
                self._send({"id": message["id"], "result": nothing})


def _position(file: Path, line: int, column: int) -> dict[str, Any]:
    return {"textDocument": {"uri": file.as_uri()}, "position": {"line": line, "character": column}}


def _text(content: Any) -> str:
    return content["value"] if isinstance(content, dict) else content or ""
