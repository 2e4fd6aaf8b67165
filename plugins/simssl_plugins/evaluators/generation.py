"""Generation: images sampled from the model, a picture of them, and their Fréchet distance to the test images.

M counts samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Skip, Subject
from simssl.blocks.images import picture_grid
from simssl.blocks.losses import reparameterize
from simssl.blocks.statistics import MissingFeatures, check_features, frechet_distance, moments, sample_normal

ROW = 8
"""Samples in a row of the picture."""

BATCH = 50
"""Images whose features are computed at once."""


class Generation(Evaluator):
    """Expected images of latents that are drawn anew: a picture, and how far they are from the test images.

    `latents: ssl_model` draws z from the mixture that the SSL Model puts around the training images' representations:
    the posterior mean of one training image at random, plus noise of the model's own sigma2 = Var[z | y]; or, for a
    method without a sigma2, of that posterior's variance. `latents: gaussian` draws from the Gaussian with the mean
    and the full covariance of the training representations.

    `fid` is the Fréchet Inception distance (Heusel et al. 2017) by torchmetrics. Other `features` have names of their
    own, `fd_pixels` and `fd_MODEL`, and their values cannot be compared with it. What a feature extractor lacks is
    said, and the picture comes all the same. Few images raise the distance: compare equal numbers alone.
    """

    class Params(simssl.Params):
        latents: Literal["ssl_model", "gaussian"] = "ssl_model"
        "Where z is drawn: around the training representations, or from a Gaussian fitted to them."
        samples: int = Field(10_000, ge=2)
        "Most samples, and as many test images, that are compared; all test images if they are fewer. Ours."
        features: str = "inception"
        """What is compared: inception (needs torch-fidelity, and its weights), pixels (averaged to 16 x 16, without a
        download), or timm:MODEL, a pretrained model of timm's."""
        pictures: int = Field(64, ge=1)
        "Samples in the picture, in rows of eight."

        @field_validator("features")
        @classmethod
        def _known(cls, features: str) -> str:
            if not features.startswith("timm:"):  # which `check` knows: timm takes seconds to import
                check_features(features)
            return features

    needs = frozenset({"decoder", "test"})

    def check(self, data: Data) -> None:
        check_features(self.params.features)
        if data.test is not None and len(data.test) < 2:
            raise ValueError("a test split of one image has no covariance to compare samples with")

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: x_BCHW.flatten(1),
            decode=lambda z_BD: z_BD.view(-1, 1, 8, 8),
            values={"fd_pixels": (0.0, 1.0)},
            noise={"fd_pixels": (5.0, 50.0)},
            params={"latents": "gaussian", "features": "pixels"},
        )

    def run(self, subject: Subject) -> Result:
        assert subject.data.test is not None
        N = len(subject.data.test)
        count = min(self.params.samples, N)
        shown_MD = self._latents(subject, self.params.pictures)
        shown_MCHW = self._expected(subject, shown_MD).cpu()
        shown = picture_grid(shown_MCHW.split(ROW))

        z_MD = self._latents(subject, count)
        order_N = torch.randperm(N, generator=subject.generator, device=subject.device)
        chosen_M = order_N[:count]
        real = (subject.images("test", index_B) for index_B in chosen_M.split(BATCH))
        generated = (self._expected(subject, z_BD) for z_BD in z_MD.split(BATCH))
        metrics = {}
        skipped = {}
        try:
            distance = frechet_distance(self.params.features, real, generated, subject.device)
            metrics[self._key] = Metric(distance, "squared distance of features", "lower")
        except MissingFeatures as missing:
            skipped[self._key] = str(missing)
        return Result(metrics, {"samples": shown}, self._protocol(subject, count), skipped=skipped)

    @property
    def _key(self) -> str:
        features = self.params.features
        return "fid" if features == "inception" else f"fd_{features.removeprefix('timm:')}"

    def _protocol(self, subject: Subject, count: int) -> dict[str, object]:
        if self.params.latents == "gaussian":
            z: dict[str, object] = {"z": "a Gaussian with the mean and covariance of the training representations"}
        else:
            z = {
                "z": "the posterior mean of a training image at random, plus noise of the model's sigma2, or of that "
                "posterior's variance where the model has no sigma2",
                "found": {"sigma2": subject.sigma2},
            }
        return {
            "split": "test",
            **z,
            "images": f"{count} expected images (means of p(x|z)), and as many test images",
        }

    def _latents(self, subject: Subject, count: int) -> Tensor:
        """Latents z (count, D)."""
        train_ND = subject.features("train")
        if self.params.latents == "gaussian":
            return sample_normal(*moments(train_ND), count, subject.generator).to(train_ND.dtype)
        index_M = torch.randint(len(train_ND), (count,), generator=subject.generator, device=subject.device)
        mean_MD = train_ND[index_M]
        if subject.sigma2 is None:
            variance_MD = torch.cat(list(self._variances(subject, index_M)))
        else:
            variance_MD = torch.full_like(mean_MD, subject.sigma2)
        return reparameterize(mean_MD, variance_MD.log(), subject.generator)

    def _variances(self, subject: Subject, index_M: Tensor) -> Iterator[Tensor]:
        """The variances of these training images' posteriors, (B, D) each."""
        for index_B in index_M.split(1000):
            variance_BD = subject.posterior(subject.images("train", index_B)).variance
            if variance_BD is None:
                raise Skip("the model has neither a sigma2 nor a posterior variance; take 'latents: gaussian'")
            yield variance_BD

    def _expected(self, subject: Subject, z_MD: Tensor) -> Tensor:
        assert subject.likelihood is not None
        expected = []
        for z_BD in z_MD.split(1000):
            logits_BCHW = subject.decode(z_BD)
            expected.append(subject.likelihood.mean(logits_BCHW))
        return torch.cat(expected)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Generation
