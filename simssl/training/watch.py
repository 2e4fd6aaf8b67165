"""The watch over a run in training: when it is measured, and what follows from the numbers on held-out images."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from simssl.experiment.model import Experiment
from simssl.experiment.settings import Selection
from simssl.store import checkpoint
from simssl.store.checkpoint import State

Measure = Callable[[int], float | None]
"""A function that measures the run after so many steps.

It returns the number by which the run selects, higher being better; None where it selects by nothing after this step.
"""


class Watch:
    """The steps after which a run is measured, and what it selects."""

    def __init__(self, experiment: Experiment, steps: int, views_per_step: int) -> None:
        sections = [experiment.measure.moments] if experiment.measure else []
        selector = experiment.selection if steps else None
        if selector:
            sections.append(selector.settings)
        moments: set[int] = set()
        for section in sections:
            moments.update(section.steps(steps, views_per_step))
        self._moments = sorted(moments)
        self._steps = frozenset(moments)
        """The same, to look a step up in at every launch."""
        self.selected = Selected(selector.settings) if selector else None
        self.measured: int | None = None
        """The last step after which the run was measured; None before the first."""

    @property
    def ends(self) -> bool:
        """True if the numbers have ended the training."""
        return self.selected is not None and self.selected.ends

    def due(self, step: int) -> bool:
        """True if the run is to be measured after this step, and is not yet."""
        return step in self._steps and (self.measured is None or self.measured < step)

    def left(self, step: int) -> int:
        """The number of measurements after later steps."""
        return len(self._moments) - bisect_right(self._moments, step)

    def until(self, step: int) -> float:
        """The number of steps from this one to the next measurement; infinity if there is none."""
        position = bisect_right(self._moments, step)
        return self._moments[position] - step if position < len(self._moments) else math.inf

    def state(self) -> State:
        """The part of a checkpoint that keeps it."""
        state: State = {}
        if self.measured is not None:
            state["measured"] = self.measured
        if self.selected is not None:
            state["selection"] = self.selected.state()
        return state

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self.measured = state.get("measured")
        if self.selected is not None:
            self.selected.restore(state["selection"])


class Selected:
    """The best measurement so far, after which the training may end, and whose weights may be kept."""

    def __init__(self, settings: Selection) -> None:
        self.settings = settings
        self.step: int | None = None
        """The step of the best measurement."""
        self.best: float | None = None
        self.since = 0
        """The measurements since then, none of which was better."""
        self.weights: dict[str, Tensor] | None = None

    @property
    def ends(self) -> bool:
        """True if the training has waited for a better measurement for long enough."""
        patience = self.settings.patience
        return patience is not None and self.since >= patience

    def take(self, step: int, number: float, objective: nn.Module) -> None:
        """Take note of a measurement of these weights."""
        if self.best is not None and number <= self.best:
            self.since += 1
            return
        self.step = step
        self.best = number
        self.since = 0
        if self.settings.keep == "best":
            self.weights = {name: value.detach().clone() for name, value in objective.state_dict().items()}

    def put_back(self, objective: nn.Module) -> None:
        """Give the objective the weights that are kept, if they are not the last."""
        if self.weights is not None:
            objective.load_state_dict(self.weights)
            self.weights = None

    def said(self, step: int) -> str:
        """The sentence for what the numbers have decided by the training's end, after this step."""
        kept = f"; the weights after step {self.step:,} are kept" if self.settings.keep == "best" else ""
        if not self.ends:
            return f"{self.settings.metric} was best after step {self.step:,} of {step:,}{kept}"
        return (
            f"the training ends after step {step:,}: {self.settings.metric} was best after step {self.step:,}, and not "
            f"better in {self.since} measurements since{kept}"
        )

    def facts(self, step: int) -> dict[str, Any]:
        """What environment.json holds of it."""
        return {"steps": step, "best_step": self.step, "kept_step": self.step if self.settings.keep == "best" else step}

    def state(self) -> State:
        """The part of a checkpoint that keeps it."""
        return {"step": self.step, "best": self.best, "since": self.since, "weights": self.weights}

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self.step = state["step"]
        self.best = state["best"]
        self.since = state["since"]
        self.weights = state["weights"]


@contextmanager
def undisturbed(objective: nn.Module, device: torch.device) -> Iterator[None]:
    """Within it the objective may be frozen and random numbers drawn. Afterwards all is as it was."""
    modes = [(part, part.training) for part in objective.modules()]
    random = checkpoint.random_states(device)
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        checkpoint.restore_random_states(random, device)
