"""What a training step changes, to be put back as it was: for warm-up and capture, which are no steps of the run."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from simssl.blocks.internals import own_buffers, own_parameters
from simssl.store import checkpoint
from simssl.training.step import Step

Held = Tensor | int | float | str | None
OF_TORCH = vars(nn.Module()).keys() - {"training"}
"""Attributes of every module, which are not the objective's own."""


class Snapshot:
    """The state of a step as it is now: tensors, which buffers there are, what else the modules hold under names of
    their own, and random generators. What is hidden in objects that are no modules, lists or dicts is not seen.

    What has no state yet (an optimiser before its first step, an empty window) goes back to zeros, which is the same.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        own = (value for value in held(step.objective).values() if isinstance(value, Tensor))
        distinct = {id(tensor): tensor for tensor in (*step.tensors(), *own)}
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in distinct.values()]
        self._places = {
            name: (tensor, tensor.data_ptr())
            for name, tensor in (*step.objective.named_parameters(), *step.objective.named_buffers())
        }
        self._buffers = [(m, name, buffer) for m in step.objective.modules() for name, buffer in own_buffers(m).items()]
        self._attributes = [(vars(m), _own(vars(m))) for m in step.objective.modules()]
        self._containers = [(v, copy(v)) for v in _everything(step.objective).values() if isinstance(v, (list, dict))]
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
            own_buffers(module)[name] = buffer
        for attributes, own in self._attributes:
            for name in _own(attributes).keys() - own.keys():
                del attributes[name]
            attributes.update(own)
        for container, content in self._containers:
            container.clear()
            container.extend(content) if isinstance(container, list) else container.update(content)
        known = {id(tensor) for tensor, _ in self._tensors}
        for tensor in self._step.tensors():
            if id(tensor) not in known:
                tensor.zero_()
        for tensor, value in self._tensors:
            tensor.copy_(value)
        self._step.generator.set_state(self._generator)
        checkpoint.restore_random_states(self._random, self._step.device)


def _own(attributes: dict[str, Any]) -> dict[str, Any]:
    """Those of a module that are its own: tensors, numbers, strings, nothing, and lists, tuples and dicts."""
    kinds = Held | list | tuple | dict
    return {n: v for n, v in attributes.items() if n not in OF_TORCH and isinstance(v, kinds)}


def held(objective: nn.Module) -> dict[str, Held]:
    """What the modules hold under a name of their own: parameters, buffers, other tensors, plain numbers, and those
    in lists, tuples and dicts, by their path."""
    return {path: value for path, value in _everything(objective).items() if isinstance(value, Held)}


def _everything(objective: nn.Module) -> dict[str, Any]:
    """What is held, and the lists, tuples and dicts that hold it."""
    found: dict[str, Any] = {}
    for prefix, module in objective.named_modules():
        for name, value in {**_own(vars(module)), **own_parameters(module), **own_buffers(module)}.items():
            found.update(_with_content(f"{prefix}.{name}" if prefix else name, value))
    return found


def _with_content(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, (list, tuple, dict)):
        for place, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _with_content(f"{path}[{place!r}]", item)


def same(before: dict[str, Held], after: dict[str, Held]) -> bool:
    """Whether the same tensors, and equal numbers, are held."""
    return before.keys() == after.keys() and all(_equal(value, after[name]) for name, value in before.items())


def _equal(before: Held, after: Held) -> bool:
    return before is after or (not isinstance(before, Tensor) and not isinstance(after, Tensor) and before == after)
