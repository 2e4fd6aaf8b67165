"""Built-in objectives on tiny networks in float64, for tests against independent slow references."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from simssl.api import Context, Objective, Terms
from simssl.plugin.registry import Registry
from simssl.testing.fixtures import LATENT_DIM, SHAPE, TinyBackbone, tiny_data, tiny_modality_contexts

REGISTRY = Registry(builtins_only=True)
IMAGES = 96


def build(name: str, images_per_step: int = 8, backbone: type[TinyBackbone] = TinyBackbone, **params: object) -> Any:
    plugin, built = REGISTRY.load("objective", name), backbone(None)
    torch.manual_seed(0)
    context = Context(
        image_shape=SHAPE,
        latent_dim=LATENT_DIM,
        num_images=IMAGES,
        images_per_step=images_per_step,
        steps=10,
        binary=True,
        encoder=lambda outputs: built.encoder(SHAPE, outputs),
        decoder=lambda inputs: built.decoder(SHAPE, inputs),
        modalities=tiny_modality_contexts(),
    )
    objective: Objective = plugin(plugin.Params(**params), context).double()
    return objective


def views(B: int, J: int) -> Tensor:
    return torch.rand(B, J, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).round()


def loss(objective: Objective, x_BJCHW: Tensor | tuple[Tensor, ...], seed: int = 7) -> Terms:
    B = len(x_BJCHW if isinstance(x_BJCHW, Tensor) else x_BJCHW[0])
    index_B = torch.arange(B)
    told = {"modalities_B": captions(B)} if objective.modalities else {}
    terms: Terms = objective(x_BJCHW, index_B, torch.Generator().manual_seed(seed), **told)
    return terms


def captions(B: int) -> dict[str, Tensor]:
    """The modalities of the first images of the small data, in float64."""
    modalities = tiny_data().train.modalities
    return {"caption": modalities["caption"].values[:B], "attributes": modalities["attributes"].values[:B].double()}


def assert_same_gradient(objective: Objective, ours: Tensor, reference: Tensor) -> None:
    parameters = [parameter for parameter in objective.parameters() if parameter.requires_grad]
    for gradient, expected in zip(
        torch.autograd.grad(ours, parameters, retain_graph=True),
        torch.autograd.grad(reference, parameters),
        strict=True,
    ):
        torch.testing.assert_close(gradient, expected)


def slow_sinkhorn(scores_BK: Tensor, epsilon: float, iterations: int) -> Tensor:
    """The authors' algorithm, value by value: prototypes first, then images."""
    B, K = scores_BK.shape
    q = [[math.exp(scores_BK[b, k] / epsilon) for k in range(K)] for b in range(B)]
    for _ in range(iterations):
        for k in range(K):
            total = sum(q[b][k] for b in range(B))
            for b in range(B):
                q[b][k] /= total * K
        for b in range(B):
            total = sum(q[b])
            for k in range(K):
                q[b][k] /= total * B
    return torch.tensor(q, dtype=torch.float64) * B
