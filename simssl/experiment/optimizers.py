"""The section `training.optimizer`: for each optimiser the parameters that it has, and no others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from simssl.experiment.numbers import Decay, NotNegative, Positive
from simssl.params import Params, added


class Adam(Params):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["adam"] = "adam"
    "Adam (Kingma & Ba 2015)."
    lr: Positive = 1e-3
    "Learning rate (its largest, with a schedule). Source: Kingma & Ba; the paper's release has 8e-5."
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    "Decay of the moving averages of the gradient and of its square. Source: Kingma & Ba."
    eps: Positive = 1e-8
    "Added to the denominator. Source: Kingma & Ba; the paper's release has 1e-4."
    weight_decay: NotNegative = 0.0
    "L2 penalty, added to the gradient."


class AdamW(Params):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["adamw"]
    "Adam with decoupled weight decay (Loshchilov & Hutter 2019)."
    lr: Positive = 1e-3
    "Learning rate (its largest, with a schedule). Source: Loshchilov & Hutter."
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    "Decay of the moving averages of the gradient and of its square."
    eps: Positive = 1e-8
    "Added to the denominator."
    weight_decay: NotNegative = 0.01
    "Fraction of each weight that is taken off in a step, times the learning rate. Source: PyTorch's default."


class SGD(Params):
    """Stochastic gradient descent with momentum, in PyTorch's form (v = momentum v + g, w = w - lr v)."""

    name: Literal["sgd"]
    "Stochastic gradient descent with momentum."
    lr: Positive = Field(examples=[0.03])
    "Learning rate (its largest, with a schedule). Source: none for all; MoCo (He et al. 2020) has 0.03 at 256 images."
    momentum: Decay = 0.9
    "Decay of the moving sum of gradients. Source: MoCo."
    nesterov: bool = False
    "Nesterov's form of it."
    weight_decay: NotNegative = 0.0
    "L2 penalty, added to the gradient. MoCo has 1e-4."

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> SGD:
        if self.nesterov and not self.momentum:
            raise ValueError("'nesterov' needs a 'momentum' greater than 0")
        return self


class LARS(Params):
    """Layer-wise adaptive rate scaling (You et al. 2017), as BYOL has it: biases and norms are not adapted."""

    name: Literal["lars"]
    "Layer-wise adaptive rate scaling (You et al. 2017); biases and norms are neither adapted nor decayed."
    lr: Positive = Field(examples=[0.2])
    "Learning rate (its largest, with a schedule). Source: 0.3 (SimCLR) or 0.2 (BYOL) for each 256 images of a step."
    momentum: Decay = 0.9
    "Decay of the moving sum of adapted gradients. Source: SimCLR, BYOL."
    weight_decay: NotNegative = 0.0
    "L2 penalty, added to the gradient before it is adapted. SimCLR has 1e-6, BYOL 1.5e-6."
    trust_coefficient: Positive = 1e-3
    "Length of a layer's step, as a fraction of its weights' length, at learning rate 1. Source: SimCLR, BYOL."
    clipped: bool = added(False)
    """A layer's own rate is its trust coefficient times |weights| / |gradient|, but at most the learning rate; without
    this it is the product of both. Source: LARC (NVIDIA's apex); solo-learn has it, with a coefficient of 0.02."""


def _name(value: Any) -> str | None:
    """The name of the optimiser that a mapping means, checked or not; None if it is no mapping."""
    if isinstance(value, dict):
        return str(value.get("name", "adam"))
    return getattr(value, "name", None)


Optimizer = Annotated[
    Annotated[Adam, Tag("adam")]
    | Annotated[AdamW, Tag("adamw")]
    | Annotated[SGD, Tag("sgd")]
    | Annotated[LARS, Tag("lars")],
    Discriminator(_name),
]
"""One of them, told apart by `name`; adam if it has none."""
