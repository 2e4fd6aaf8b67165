"""A stand-in on the CPU for the capture of a probe's step."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch

from simssl.testing.recording import Recorder


def recorded(graphs: Recorder) -> Callable[[Callable[[], None], torch.device], Callable[[], None]]:
    """Stands in for `simssl.blocks.probes.capture`: the call is recorded, in which it is done once, then replayed."""

    def capture(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
        replay = graphs.capture(call)
        launches = itertools.chain([lambda: None], itertools.repeat(replay))
        return lambda: next(launches)()

    return capture
