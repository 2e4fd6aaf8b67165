"""Methods whose representation is known: an evaluator's oracle, and noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from simssl.api import Context, Objective, Oracle, Posterior
from simssl.blocks.losses import Gaussian
from simssl.experiment.settings import Crop, ViewSettings
from simssl.testing.fixtures import tiny_data, tiny_run
from simssl.training.build import BuiltRun

Represent = Callable[[Tensor], Tensor]
"""Returns the representation of images or of a caption, or the expected images of a representation."""


def oracle_method(oracle: Oracle) -> type[Objective]:
    """An untrained method with the oracle's representation, and its decoder if it has one."""

    class Known(Objective):
        trained = False
        likelihood = Gaussian(0.01)

        def posterior(self, x_BCHW: Tensor) -> Posterior:
            z_BD = oracle.representation(x_BCHW)
            variance_BD = None if oracle.variance is None else oracle.variance(x_BCHW).float()
            return Posterior(z_BD.float(), variance_BD)

    known: type[Objective] = Known
    if oracle.modality is not None:
        known = _with_modality(known, oracle.modality)
    return known if oracle.decode is None else _with_decoder(known, oracle.decode)


def _with_modality(known: type[Objective], representation: Represent) -> type[Objective]:
    """The method, with this representation of a caption."""

    class KnownOfCaptions(known):  # type: ignore[misc, valid-type]
        modalities = ("caption",)

        def modality_posterior(self, name: str, values_B: Tensor) -> Posterior:
            z_BD = representation(values_B)
            return Posterior(z_BD.float())

    return KnownOfCaptions


def _with_decoder(known: type[Objective], images: Represent) -> type[Objective]:
    """The method, with a decoder to these expected images."""

    class KnownWithDecoder(known):  # type: ignore[misc, valid-type]
        def decode(self, z_BD: Tensor) -> Tensor:
            mean_BCHW = images(z_BD)
            return mean_BCHW.clamp(1e-6, 1 - 1e-6).logit()

    return KnownWithDecoder


def noise_method(oracle: Oracle) -> type[Objective]:
    """The oracle's method, with N(0, 1) for its representation, drawn anew for each image of each call."""

    class Noise(oracle_method(oracle)):  # type: ignore[misc]
        def __init__(self, params: Any, context: Context) -> None:
            super().__init__(params, context)
            self.generator = torch.Generator().manual_seed(0)

        def posterior(self, x_BCHW: Tensor) -> Posterior:
            z_BD = self._draw(len(x_BCHW))
            variance_BD = None if oracle.variance is None else self._draw(len(x_BCHW)).exp()
            return Posterior(z_BD, variance_BD)

        def modality_posterior(self, name: str, values_B: Tensor) -> Posterior:
            return Posterior(self._draw(len(values_B)))

        def _draw(self, rows: int) -> Tensor:
            return torch.randn(rows, self.context.latent_dim, generator=self.generator)

    return Noise


def oracle_run(oracle: Oracle, method: type[Objective]) -> BuiltRun:
    """The method on the oracle's data, or on the suite's small data if it has none. Views are cropped and mirrored."""
    data = tiny_data() if oracle.data is None else oracle.data
    x_1CHW = torch.zeros(1, *data.train.images.shape[1:])
    z_1D = oracle.representation(x_1CHW)
    latent_dim = z_1D.shape[1]
    views = ViewSettings(crop=Crop(scale=(0.4, 1.0)), horizontal_flip=0.5)
    return tiny_run(method, data=data, views=views, latent_dim=latent_dim)
