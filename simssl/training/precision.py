"""The precision of a training step. Views, evaluators and what is fitted in one pass compute in float32 always."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from simssl.experiment.model import Experiment


def allow_tf32(allowed: bool) -> None:
    """Whether CUDA may round what convolutions and matrix products of float32 take to 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def in_float32() -> Iterator[None]:
    """float32 means float32 on CUDA, for as long as this lasts; what was allowed before is allowed after it."""
    matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    allow_tf32(False)
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn


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


def shortfall(experiments: Iterable[Experiment], device: torch.device) -> str | None:
    """A sentence if the device has not the precision that is asked for."""
    if device.type != "cuda" and any(experiment.training.precision == "tf32" for experiment in experiments):
        return f"training.precision is tf32, which only CUDA has: on the {device.type.upper()} it is float32"
    return None
