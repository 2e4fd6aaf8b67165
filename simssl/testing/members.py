"""Members of a gloo group, each a thread of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch.distributed as dist

from simssl.blocks.distributed import together
from simssl.blocks.internals import gloo_member
from simssl.errors import LostProcessError
from simssl.training.machine.process_group import TorchGroup

TIMEOUT = timedelta(seconds=60)
"""After which a member that waits for another one gives up."""

Made = TypeVar("Made")


def on_members(size: int, work: Callable[[int], Made]) -> list[Made]:
    """Return what `work(rank)` returns on each member, in the order of their ranks. The first error is raised."""
    store = dist.HashStore()
    made: dict[int, Made] = {}
    errors: list[BaseException] = []

    def member(rank: int) -> None:
        try:
            with together(TorchGroup(gloo_member(store, rank, size, TIMEOUT))):
                made[rank] = work(rank)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=member, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors.sort(key=lambda error: isinstance(error, LostProcessError))  # which follows from another one
    if errors:
        raise errors[0]
    return [made[rank] for rank in range(size)]
