"""Reconstruction: how well the method's own decoder gives an image back from its representation."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Evaluator, Metric, Result, Subject
from simssl.blocks.pictures import grid


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

    def run(self, subject: Subject) -> Result:
        assert subject.likelihood is not None
        assert subject.data.test is not None
        z_ND, mean_CHW = subject.features("test"), _mean_image(subject)
        nll, mse, mse_of_mean = torch.zeros(3, dtype=torch.float64)
        for index_B in _batches(len(z_ND)):
            x_BCHW, logits_BCHW = subject.images("test", index_B), subject.decode(z_ND[index_B])
            nll -= subject.likelihood.log_prob(x_BCHW, logits_BCHW).sum().cpu()
            mse += _squared_errors(subject.likelihood.mean(logits_BCHW), x_BCHW)
            mse_of_mean += _squared_errors(mean_CHW, x_BCHW)
        metrics = {
            "mse": Metric(mse.item() / len(z_ND), "squared error/pixel, pixels in [0, 1]", "lower"),
            "nll": Metric(nll.item() / len(z_ND), "nats/image", "lower", {"likelihood": str(subject.likelihood)}),
        }
        if mse_of_mean > 0:  # not all images are one
            metrics["R2"] = Metric(1 - (mse / mse_of_mean).item(), "R2", "higher")
        protocol = {"split": "test", "z": "posterior mean of the un-augmented image"}
        return Result(metrics, {"test": self._picture(subject)}, protocol)

    def _picture(self, subject: Subject) -> Tensor:
        assert subject.likelihood is not None
        first = slice(0, self.params.pictures)
        decoded = subject.likelihood.mean(subject.decode(subject.features("test")[first]))
        return grid([subject.images("test", first).cpu(), decoded.cpu()])


def _batches(N: int) -> tuple[Tensor, ...]:
    return torch.arange(N).split(1000)


def _mean_image(subject: Subject) -> Tensor:
    """The mean of the training images, (C, H, W)."""
    N = len(subject.data.train)
    sums = [subject.images("train", index_B).double().sum(0) for index_B in _batches(N)]
    return (torch.stack(sums).sum(0) / N).float()


def _squared_errors(expected: Tensor, x_BCHW: Tensor) -> Tensor:
    """The mean over each image's pixels, summed over the images: 0-d."""
    return (expected - x_BCHW).square().flatten(1).mean(1).sum().cpu()


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Reconstruction
