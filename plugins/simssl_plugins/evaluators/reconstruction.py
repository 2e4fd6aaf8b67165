"""Reconstruction: how well the method's own decoder gives an image back from its representation."""

from __future__ import annotations

import torch
from pydantic import Field

import simssl
from simssl.api import Evaluator, Metric, Result, Subject
from simssl.blocks.pictures import grid


class Reconstruction(Evaluator):
    """Errors of the test images decoded from their representations (the posterior means), and a picture.

    `nll` is -log p(x | z) in nats an image, under the method's own likelihood; `mse` the squared error a pixel
    of the expected image, comparable between methods.
    """

    class Params(simssl.Params):
        pictures: int = Field(12, ge=1)
        "Test images in the picture: originals over reconstructions."

    needs = frozenset({"decoder", "test"})

    def run(self, subject: Subject) -> Result:
        assert subject.likelihood is not None
        assert subject.data.test is not None
        z_ND = subject.features("test")
        nll, mse = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
        for index_B in torch.arange(len(z_ND)).split(1000):
            x_BCHW, logits_BCHW = subject.images("test", index_B), subject.decode(z_ND[index_B])
            nll -= subject.likelihood.log_prob(x_BCHW, logits_BCHW).sum().cpu()
            mse += (subject.likelihood.mean(logits_BCHW) - x_BCHW).square().flatten(1).mean(1).sum().cpu()
        metrics = {
            "nll": Metric(nll.item() / len(z_ND), "nats/image", "lower", {"likelihood": str(subject.likelihood)}),
            "mse": Metric(mse.item() / len(z_ND), "squared error/pixel, pixels in [0, 1]", "lower"),
        }
        protocol = {"split": "test", "z": "posterior mean of the un-augmented image"}
        return Result(metrics, {"test": self._picture(subject)}, protocol)

    def _picture(self, subject: Subject) -> torch.Tensor:
        assert subject.likelihood is not None
        first = slice(0, self.params.pictures)
        decoded = subject.likelihood.mean(subject.decode(subject.features("test")[first]))
        return grid([subject.images("test", first).cpu(), decoded.cpu()])


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Reconstruction
