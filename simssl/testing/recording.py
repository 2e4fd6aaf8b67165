"""A stand-in for a CUDA graph on the CPU. It records a step's tensor operations once, and repeats them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from simssl.testing.host_sync import refuse_host_synchronisation


class Recording(TorchDispatchMode):
    """A mode of torch that keeps the operations that are done in it, with the tensors that they took and gave.

    A replay is like one of a CUDA graph. It repeats the operations on the same memory, and draws from the generators go
    on. Nothing that Python did between the operations is repeated: a number on the host stays as it was.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        outputs = func(*args, **kwargs)
        self._operations.append((func, args, kwargs, outputs))
        return outputs

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, recorded in self._operations:
            repeated = func(*args, **kwargs)
            for old, new in zip(tree_leaves(recorded), tree_leaves(repeated), strict=True):
                if isinstance(old, Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class Recorder:
    """The `simssl.training.capture.launcher.Graphs` that captures steps by recording them. It counts its replays."""

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
