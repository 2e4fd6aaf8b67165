"""Several processes of one command, as torchrun starts them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from processes import Process

from simssl.store import checkpoint


def started(
    folder: Path,
    *words: object,
    size: int = 2,
    each: Callable[[int], tuple[object, ...]] = lambda rank: (),
    signals: Mapping[int, int] | None = None,
) -> list[Process]:
    """`simssl WORDS` on several processes, as torchrun starts them; `each` gives words of its own to a process.

    `signals` are those that the processes of these ranks send themselves in their 17th step, by `objective`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(size):
        environment = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        if signals and rank in signals:
            environment["SIGNAL"] = str(int(signals[rank]))
        processes.append(Process(folder, *words, *each(rank), environment=environment))
    return processes


def ended(processes: list[Process]) -> tuple[list[int], list[str]]:
    """The exit codes of all processes, and what each has said."""
    both = [process.finish() for process in processes]
    return [code for code, _ in both], [said for _, said in both]


def weights(runs: Path) -> dict[str, torch.Tensor]:
    (file,) = runs.rglob("checkpoint.pt")
    state = checkpoint.load_state(file)
    assert state is not None
    assert state["done"]
    return dict(state["objective"])
