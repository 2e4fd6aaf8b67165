"""The precision of a training step. Views, evaluators and what is fitted in one pass compute in float32 always."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from simssl.experiment.model import Experiment

LACKING = {
    "tf32": "which only CUDA has: on the CPU it is float32",
    "bfloat16": "of which this CPU has no fast products (they take hundreds of times as long): on it it is float32",
}
"""What is said of a precision where it is float32 instead."""


def computed_in(precision: str, device: torch.device) -> str:
    """The precision that a step has on the device when this one is asked for."""
    if device.type == "cuda" or (precision == "bfloat16" and multiplies_bfloat16()):
        return precision
    return "float32"


def multiplies_bfloat16() -> bool:
    """Whether the CPU's matrix products of bfloat16 are oneDNN's. Elsewhere torch has a plain loop for them."""
    return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def shortfall(experiments: Iterable[Experiment], device: torch.device) -> Iterator[str]:
    """A sentence for each precision that is asked for and that the device has not."""
    for precision in sorted({experiment.training.precision for experiment in experiments}):
        if computed_in(precision, device) != precision:
            yield f"training.precision is {precision}, {LACKING[precision]}"


FLAGS: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
"""Where torch keeps whether TF32 is allowed, `allow_tf32`."""
KINDS: tuple[Any, ...] = (
    (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    if hasattr(torch.backends.cudnn, "conv")
    else ()
)
"""Where newer versions of torch keep it as well, `fp32_precision`; a flag cannot be read while they disagree."""


def allow_tf32(allowed: bool) -> None:
    """Whether CUDA may round what convolutions and matrix products of float32 take to 10 bits."""
    for place in FLAGS:
        place.allow_tf32 = allowed
    for place in KINDS:
        place.fp32_precision = "tf32" if allowed else "ieee"


@contextmanager
def in_float32() -> Iterator[None]:
    """float32 means float32 on CUDA, for as long as this lasts; what was allowed before is allowed after it."""
    flags, kinds = [_flag(place) for place in FLAGS], [place.fp32_precision for place in KINDS]
    allow_tf32(False)
    try:
        yield
    finally:
        for place, flag in zip(FLAGS, flags, strict=True):
            if flag is not None:
                place.allow_tf32 = flag
        for place, kind in zip(KINDS, kinds, strict=True):
            place.fp32_precision = kind


def _flag(place: Any) -> bool | None:
    """None if the program around has set `fp32_precision` to something else."""
    try:
        return bool(place.allow_tf32)
    except RuntimeError:
        return None


@contextmanager
def step_in(precision: str) -> Iterator[None]:
    """A step, forwards and backwards, in TF32 if that is its precision."""
    allow_tf32(precision == "tf32")
    try:
        yield
    finally:
        allow_tf32(False)


def networks_in(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """The way forwards; in bfloat16, if that is its precision, under autocast."""
    autocast: AbstractContextManager[None] = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
    )
    return autocast
