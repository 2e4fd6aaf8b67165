"""Reconstruction: the errors of images that the method's own decoder gives back from their representations."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import Field

import simssl
from simssl.api import Evaluator, Likelihood, Metric, Oracle, Result, Subject
from simssl.blocks.losses import LearnedGaussian
from simssl.blocks.statistics import mean_image, reconstruction_errors, reconstruction_picture


class Reconstruction(Evaluator):
    """Errors of the test images decoded from their representations (the posterior means), and a picture.

    `nll` is -log p(x | z) in nats an image, under the method's own likelihood; `mse` the squared error a pixel
    of the expected image, comparable between methods; `R2` is 1 - mse / (mse of the training images' mean), so that
    a decoder that ignores its input has 0.
    """

    class Params(simssl.Params):
        pictures: int = Field(12, ge=1)
        "Test images in the picture: originals over reconstructions."

    needs = frozenset({"decoder", "test"})

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: x_BCHW.flatten(1),
            decode=lambda z_BD: z_BD.view(-1, 1, 8, 8),
            values={"mse": (0.0, 1e-6), "R2": (0.9999, 1.0)},
            noise={"mse": (0.1, 1.0), "R2": (-10.0, 0.0)},
        )

    def run(self, subject: Subject) -> Result:
        likelihood = subject.likelihood
        assert likelihood is not None
        train_images = partial(subject.images, "train")
        test_images = partial(subject.images, "test")
        mean_CHW = mean_image(train_images, len(subject.data.train))
        z_ND = subject.features("test")
        errors = reconstruction_errors(test_images, z_ND, subject.decode, likelihood, mean_CHW)
        metrics = {
            "mse": Metric(errors.mse, "squared error/pixel, pixels in [0, 1]", "lower"),
            "nll": Metric(errors.nll, "nats/image", "lower", _told(likelihood)),
        }
        if errors.r2 is not None:
            metrics["R2"] = Metric(errors.r2, "R2", "higher")
        first = slice(0, self.params.pictures)
        originals_NCHW = test_images(first)
        expected_NCHW = likelihood.mean(subject.decode(z_ND[first]))
        shown = reconstruction_picture(originals_NCHW, expected_NCHW)
        protocol = {"split": "test", "z": "posterior mean of the un-augmented image"}
        return Result(metrics, {"test": shown}, protocol)


def _told(likelihood: Likelihood) -> dict[str, Any]:
    """Which likelihood it is, and the variance that it has learned, if it does."""
    told: dict[str, Any] = {"likelihood": str(likelihood)}
    if isinstance(likelihood, LearnedGaussian):
        told["found"] = {"sigma2_x": likelihood.sigma2_x.item()}
    return told


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Reconstruction
