"""A snapshot of all that a training step changes.

Warm-up and capture take steps that are no steps of the run. What they changed is put back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from simssl.blocks.internals import own_buffers, own_parameters
from simssl.store import checkpoint
from simssl.training.step import Step

Attributes = dict[str, Any]
"""The attributes of a module by their names."""

Held = Tensor | int | float | str | None
"""The values of a module's attributes that a step may change. Lists, tuples and dicts hold more of them."""

HeldValues = Mapping[str, Held]
"""The values that modules hold, by their path."""

OF_TORCH = vars(nn.Module()).keys() - {"training"}
"""The attributes that every module has, which are not the objective's own."""


class Snapshot:
    """The state of a step as it is now.

    It holds the tensors, which buffers there are, what else the modules hold under names of their own, and the states
    of random generators. What is hidden in objects that are no modules, lists or dicts is not seen.

    What has no state yet (an optimiser before its first step, an empty window) goes back to zeros, which is the same.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        objective = step.objective

        distinct = {id(tensor): tensor for tensor in step.tensors()}
        for value in held(objective).values():
            if isinstance(value, Tensor):
                distinct[id(value)] = value
        self._tensors = [(tensor, tensor.detach().clone()) for tensor in distinct.values()]

        self._named: dict[str, Tensor] = dict(objective.named_parameters())
        self._named.update(objective.named_buffers())
        self._addresses = {name: tensor.data_ptr() for name, tensor in self._named.items()}

        self._buffers = []
        self._attributes = []
        for module in objective.modules():
            buffers = own_buffers(module)
            self._buffers.append((buffers, dict(buffers.items())))  # a scripted module's is no dict
            attributes = vars(module)
            self._attributes.append((attributes, _own(attributes)))

        self._containers = []
        for value in _everything(objective).values():
            if isinstance(value, (list, dict)):
                self._containers.append((value, copy(value)))

        self._generator = step.generator.get_state()
        self._random = checkpoint.random_states(step.device)

    def replaced(self) -> list[str]:
        """The names of the parameters and saved buffers that are other tensors now, or lie elsewhere."""
        now = self._step.objective.state_dict(keep_vars=True)
        names: list[str] = []
        for name, tensor in self._named.items():
            if name not in now:
                continue
            moved = tensor.data_ptr() != self._addresses[name]
            if moved or now[name] is not tensor:
                names.append(name)
        return names

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back into the objects that hold it, and the values into the tensors."""
        for buffers, before in self._buffers:
            for name, buffer in before.items():
                buffers[name] = buffer
        for attributes, own in self._attributes:
            for name in _own(attributes).keys() - own.keys():
                del attributes[name]
            attributes.update(own)
        for container, content in self._containers:
            container.clear()
            if isinstance(container, list):
                container.extend(content)
            else:
                container.update(content)
        known = {id(tensor) for tensor, _ in self._tensors}
        for tensor in self._step.tensors():
            if id(tensor) not in known:
                tensor.zero_()
        for tensor, value in self._tensors:
            tensor.copy_(value)
        self._step.generator.set_state(self._generator)
        checkpoint.restore_random_states(self._random, self._step.device)


def _own(attributes: Attributes) -> Attributes:
    """The attributes that are a module's own: tensors, numbers, strings, None, and lists, tuples and dicts."""
    kinds = Held | list | tuple | dict
    own: Attributes = {}
    for name, value in attributes.items():
        if name in OF_TORCH:
            continue
        if isinstance(value, kinds):
            own[name] = value
    return own


def held(objective: nn.Module) -> HeldValues:
    """The tensors, plain numbers and strings that the modules hold, by their path.

    They hold them under names of their own, as parameters, buffers or other attributes, or in lists, tuples and dicts.
    """
    values = _everything(objective)
    return {path: value for path, value in values.items() if isinstance(value, Held)}


def _everything(objective: nn.Module) -> dict[str, Any]:
    """The values that `held` returns, and the lists, tuples and dicts that hold some of them, by their path."""
    by_path: dict[str, Any] = {}
    for prefix, module in objective.named_modules():
        values = _own(vars(module))
        values.update(own_parameters(module))
        values.update(own_buffers(module))
        for name, value in values.items():
            path = f"{prefix}.{name}" if prefix else name
            by_path.update(_with_content(path, value))
    return by_path


def _with_content(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a value and, if it is a list, a tuple or a dict, all that it holds, each with its path."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _with_content(f"{path}[{key!r}]", item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _with_content(f"{path}[{index}]", item)


def same(before: HeldValues, after: HeldValues) -> bool:
    """True if both hold the same tensors, and equal numbers, under the same paths."""
    if before.keys() != after.keys():
        return False
    return all(_equal(value, after[path]) for path, value in before.items())


def _equal(before: Held, after: Held) -> bool:
    if isinstance(before, Tensor) or isinstance(after, Tensor):
        return before is after
    return before is after or before == after
