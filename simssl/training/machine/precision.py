"""Numerics: the precision of a training step, and whether it can be repeated.

Views, evaluators and what is fitted in one pass always compute in float32.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from simssl.blocks.internals import float32_settings, multiplies_bfloat16
from simssl.errors import UserError
from simssl.experiment.model import Experiment

LACKING = {
    ("tf32", "cpu"): "which CUDA alone has",
    ("bfloat16", "cpu"): "of which this CPU has no fast products (they take hundreds of times as long)",
    ("tf32", "cuda"): "which this GPU has not",
    ("bfloat16", "cuda"): "of which this GPU has no products",
}
"""Why a kind of device does not compute in a precision."""

AMPERE = (8, 0)
"""The first compute capability with products of TF32 and bfloat16."""


def computed_in(precision: str, device: torch.device) -> str:
    """The precision that a step has on the device when this one is asked for: the same, or float32."""
    if device.type == "cuda":
        has = precision == "float32" or torch.cuda.get_device_capability(device) >= AMPERE
    else:
        has = precision == "bfloat16" and multiplies_bfloat16()
    return precision if has else "float32"


def shortfall(experiment: Experiment, device: torch.device) -> str | None:
    """Return a sentence if the experiment asks for a precision that the device does not compute in, and else None."""
    precision = experiment.training.precision
    if computed_in(precision, device) == precision:
        return None
    reason = LACKING[precision, device.type]
    return f"training.precision is {precision}, {reason}: a step is in float32 here"


FLAGS: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
"""The objects whose `allow_tf32` says whether TF32 is allowed."""

SETTINGS = float32_settings()
"""The objects whose `fp32_precision` says so too, for the CPU as well. Newer versions of torch have them."""


def allow_tf32(allowed: bool) -> None:
    """Let CUDA round to 10 bits what convolutions and matrix products of float32 take, or forbid it.

    Nothing may round more than that.
    """
    for flag in FLAGS:
        flag.allow_tf32 = allowed
    for setting in SETTINGS:
        setting.fp32_precision = "tf32" if allowed else "ieee"


def prepare_numerics(experiment: Experiment) -> None:
    """Make float32 mean float32 on CUDA too, and ask for repeatable kernels if the experiment is `deterministic`."""
    allow_tf32(False)
    deterministic = experiment.training.deterministic
    if torch.are_deterministic_algorithms_enabled() != deterministic:  # to set it imports torch's compiler: two seconds
        torch.use_deterministic_algorithms(deterministic)


REPEATABLE = (":4096:8", ":16:8")
"""The values of CUBLAS_WORKSPACE_CONFIG that make products on CUDA repeatable. torch refuses any other one."""


def require_repeatable(experiment: Experiment, device: torch.device) -> None:
    """Raise UserError if the experiment is `deterministic` and products on the device would not be repeatable."""
    if device.type != "cuda" or not experiment.training.deterministic:
        return
    value = os.environ.get("CUBLAS_WORKSPACE_CONFIG", "")
    if value not in REPEATABLE:
        either = " or ".join(REPEATABLE)
        raise UserError(
            f"training.deterministic is true, and the environment variable CUBLAS_WORKSPACE_CONFIG is '{value}'; on "
            f"CUDA it has to be {either}. Start again without it: simssl sets it"
        )


@contextmanager
def in_float32() -> Iterator[None]:
    """Make float32 mean float32 for as long as this lasts. What was allowed before is allowed again after it."""
    products = _read(torch.get_float32_matmul_precision)
    allowed_before = [_read(partial(getattr, flag, "allow_tf32")) for flag in FLAGS]
    precisions_before = [setting.fp32_precision for setting in SETTINGS]
    allow_tf32(False)
    try:
        yield
    finally:
        for flag, allowed in zip(FLAGS, allowed_before, strict=True):
            if allowed is not None:
                flag.allow_tf32 = allowed
        if products is not None:
            torch.set_float32_matmul_precision(products)
        for setting, precision in zip(SETTINGS, precisions_before, strict=True):
            setting.fp32_precision = precision


def _read(setting: Callable[[], Any]) -> Any:
    """Return the value of a setting of torch.

    None if the program around has set several of them, so that this one contradicts another.
    """
    try:
        return setting()
    except RuntimeError:
        return None


@contextmanager
def step_in(precision: str) -> Iterator[None]:
    """Hold what a step computes forwards and backwards: in TF32 if that is its precision."""
    allow_tf32(precision == "tf32")
    try:
        yield
    finally:
        allow_tf32(False)


def networks_in(precision: str, device: torch.device) -> AbstractContextManager[None]:
    """Hold what a step computes forwards: under autocast to bfloat16 if that is its precision."""
    autocast: AbstractContextManager[None] = torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
    )
    return autocast


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def slow_convolutions(precision: str, network: nn.Module, device: torch.device) -> str | None:
    """A sentence if a GPU computes convolutions in float32 and has faster products; None otherwise."""
    if device.type != "cuda" or precision != "float32":
        return None
    has_faster = computed_in("bfloat16", device) == "bfloat16"
    has_convolutions = any(isinstance(module, CONVOLUTIONS) for module in network.modules())
    if not (has_faster and has_convolutions):
        return None
    return (
        "training.precision is float32, in which convolutions do not use this GPU's tensor cores; tf32, or bfloat16 "
        "with training.channels_last, is several times as fast"
    )
