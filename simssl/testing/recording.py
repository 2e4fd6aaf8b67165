"""A CUDA graph's stand-in on the CPU: it records a step's tensor operations once, and repeats them as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from simssl.testing.host_sync import refuse_host_synchronisation


class Recording(TorchDispatchMode):
    """The operations that are done under it, with the tensors they took and gave.

    As in a CUDA graph, a replay repeats the operations on the same memory, draws from the generators go on, and
    nothing of what Python did between them is repeated: a number of the host is what it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, found))
        return found

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, recorded in self._operations:
            for old, new in zip(tree_leaves(recorded), tree_leaves(func(*args, **kwargs)), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """Captures steps as `simssl.training.capture.launcher.Graphs` asks for, by recording them; counts its replays."""

    def __init__(self, seconds: float = 1e-9) -> None:
        self._seconds = seconds
        self.replays = 0

    def warm_up(self, call: Callable[[], None]) -> None:
        with refuse_host_synchronisation():
            call()

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        recording = Recording()
        with refuse_host_synchronisation(), recording:
            call()

        def replay() -> None:
            self.replays += 1
            recording.replay()

        return replay

    def seconds(self, replay: Callable[[], None]) -> float:
        replay()
        return self._seconds

    def give_up(self) -> None:
        return
