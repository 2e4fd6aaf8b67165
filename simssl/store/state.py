"""The form of a run's state: which keys it has, and what stands under each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

State = dict[str, Any]
"""A run's state: tensors, numbers, strings, lists and plain dicts. `torch.load(weights_only=True)` reads these."""

ALWAYS = {"digest", "data", "device", "threads", "done", "seconds", "step", "objective"}
"""The keys that every state has. The state of an unfinished run has more."""

MOST_THREADS = 4096
"""More threads than any machine has."""


def check_form(state: Any) -> State:
    """Return the state. ValueError names a key that is missing, or has no value of its kind."""
    if not isinstance(state, dict):
        raise ValueError("it is no mapping")
    absent = ALWAYS - set(state)
    if absent:
        raise ValueError(f"it has no {', '.join(sorted(absent))}")
    for key, fits in _FITS.items():
        if key in state and not fits(state[key]):
            raise ValueError(f"its {key} is no run's")
    return state


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_time(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_number_of_threads(value: Any) -> bool:
    return _is_count(value) and 1 <= value <= MOST_THREADS


def _are_weights(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_is_text, value)) and all(map(_is_tensor, value.values()))


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_count, value)) and 0 not in value


def _are_forms(value: Any) -> bool:
    """True for the kind and the shape of each modality by its name."""
    if not isinstance(value, dict):
        return False
    return all(map(_is_text, value)) and all(map(_is_form, value.values()))


def _is_form(value: Any) -> bool:
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], list)):
        return False
    kind, shape = value
    dimensions = {"vector": 1, "tokens": 2}
    return len(shape) == dimensions.get(kind) and all(map(_is_count, shape)) and 0 not in shape


def _is_selection(value: Any) -> bool:
    """True for the best measurement so far: its step and number, how many came since, and its weights if kept."""
    if not isinstance(value, dict):
        return False
    step, best, weights = value.get("step"), value.get("best"), value.get("weights")
    return (
        (step is None or _is_count(step))
        and (best is None or _is_time(best))
        and _is_count(value.get("since"))
        and (weights is None or _are_weights(weights))
    )


def _are_moments(value: Any) -> bool:
    """True for a mean (D,) and a covariance (D, D)."""
    if not (isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_tensor, value))):
        return False
    mean_D, covariance_DD = value
    return mean_D.ndim == 1 and covariance_DD.shape == (len(mean_D), len(mean_D))


_FITS: dict[str, Callable[[Any], bool]] = {
    "digest": _is_text,
    "data": _is_text,
    "device": _is_text,
    "threads": _is_number_of_threads,
    "done": _is_flag,
    "seconds": _is_time,
    "step": _is_count,
    "objective": _are_weights,
    "num_images": _is_count,
    "image_shape": _is_shape,
    "modalities": _are_forms,
    "representations": _are_moments,
    "measured": _is_count,
    "selection": _is_selection,
    "precision": _is_text,
    "epoch": _is_count,
    "position": _is_count,
    "order": _is_tensor,
    "optimizer": _is_mapping,
    "generator": _is_tensor,
    "random": _is_mapping,
    "window": _is_mapping,
}
"""Each key, with a test of its value."""


def check_within(name: str, value: int | Tensor, most: int) -> None:
    """ValueError if a count of a saved state, or one of several, is negative or more than there are."""
    counts = torch.as_tensor(value)
    if bool(((counts < 0) | (counts > most)).any()):
        raise ValueError(f"its {name} is not within 0 and {most:,}")


def check_optimizer(saved: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """ValueError if a saved optimiser's state is not one of these parameters."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    shapes = [parameter.shape for parameter in parameters]
    for number, state in saved["state"].items():
        for name, value in state.items():
            fits = not _is_tensor(value) or value.ndim == 0 or value.shape == shapes[number]
            if not fits:
                raise ValueError(f"the optimiser's {name} is of the shape {tuple(value.shape)}")
    for ours, theirs in zip(optimizer.param_groups, saved["param_groups"], strict=True):
        for name in ours.keys() & theirs.keys() - {"params"}:
            if _kind(ours[name]) != _kind(theirs[name]):
                raise ValueError(f"the optimiser's {name} is {theirs[name]!r}")


def _kind(value: Any) -> type[Any]:
    """The type of a setting; numbers and tensors of one are alike."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number or (_is_tensor(value) and value.ndim == 0):
        return float
    return type(value)
