"""What a training step changes, to be put back as it was: for warm-up and capture, which are no steps of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from simssl.training import checkpoint
from simssl.training.step import Step

Held = Tensor | int | float | str | None
OF_TORCH = vars(nn.Module()).keys() - {"training"}
"""Attributes of every module, which are not the objective's own."""


class Snapshot:
    """The state of a step as it is now: tensors, which buffers there are, numbers, and random generators.

    What has no state yet (an optimiser before its first step, an empty window) goes back to zeros, which is the same.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in step.tensors()]
        self._places = {
            name: (tensor, tensor.data_ptr())
            for name, tensor in (*step.objective.named_parameters(), *step.objective.named_buffers())
        }
        self._buffers = [(m, name, buffer) for m in step.objective.modules() for name, buffer in m._buffers.items()]
        self._numbers = [(vars(m), dict(_plain(vars(m)))) for m in step.objective.modules()]
        self._generator = step.generator.get_state()
        self._random = checkpoint.random_states(step.device)

    def replaced(self) -> list[str]:
        """Names of the parameters and saved buffers that are other tensors now, or lie elsewhere."""
        now = self._step.objective.state_dict(keep_vars=True)
        return [
            name
            for name, (tensor, address) in self._places.items()
            if name in now and (now[name] is not tensor or tensor.data_ptr() != address)
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back, in place."""
        for module, name, buffer in self._buffers:
            module._buffers[name] = buffer
        for attributes, numbers in self._numbers:
            for name in dict(_plain(attributes)).keys() - numbers.keys():
                del attributes[name]
            attributes.update(numbers)
        known = {id(tensor) for tensor, _ in self._tensors}
        for tensor in self._step.tensors():
            if id(tensor) not in known:
                tensor.zero_()
        for tensor, value in self._tensors:
            tensor.copy_(value)
        self._step.generator.set_state(self._generator)
        checkpoint.restore_random_states(self._random, self._step.device)


def _plain(attributes: dict[str, Any]) -> Iterator[tuple[str, Held]]:
    """Those that are a tensor, a number, a string or nothing."""
    return ((name, value) for name, value in attributes.items() if isinstance(value, Held))


def held(objective: nn.Module) -> dict[str, Held]:
    """What the modules hold under a name of their own: parameters, buffers, other tensors, plain numbers, and those
    in lists, tuples and dicts, by their path."""
    found: dict[str, Held] = {}
    for prefix, module in objective.named_modules():
        for name, value in {**vars(module), **module._parameters, **module._buffers}.items():
            if name not in OF_TORCH:
                found.update(_within(f"{prefix}.{name}" if prefix else name, value))
    return found


def _within(path: str, value: Any) -> Iterator[tuple[str, Held]]:
    if isinstance(value, Held):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _within(f"{path}[{place}]", item)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _within(f"{path}[{key!r}]", item)


def same(before: dict[str, Held], after: dict[str, Held]) -> bool:
    """Whether the same tensors, and equal numbers, are held."""
    return before.keys() == after.keys() and all(
        value is after[name] if isinstance(value, Tensor) else value == after[name] for name, value in before.items()
    )
