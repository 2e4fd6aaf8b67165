"""Decoder: the errors of images given back from the representations of a method that has no decoder of its own."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Subject
from simssl.blocks.losses import Gaussian
from simssl.blocks.probes import Standardizer, require_images_to_fit_on, train_epochs
from simssl.blocks.statistics import mean_image, reconstruction_errors, reconstruction_picture

logger = logging.getLogger("simssl")

DECODED_AT_ONCE = 1000
"""Held-out images whose error is computed at once."""


class Decoder(Evaluator):
    """A decoder of the experiment's backbone, trained on the frozen representations of the training images; then the
    numbers and the picture of `reconstruction`.

    The representations are standardised, and the squared error of the expected image, sigmoid(logits), is minimised by
    Adam. The epoch of least mse on the held-out images is taken, and a new decoder trained on all of train for as
    many; where that is the last epoch, more of them would do better, and the run says so. `mse` is comparable with
    that of methods with a decoder, if they were trained for long; `nll` is -log N(x; sigmoid(logits), sigma2_x I),
    `R2` is 1 - mse / (mse of the training images' mean).
    """

    class Params(simssl.Params):
        epochs: int = Field(10, ge=1)
        "Most passes over the training images. Ours: modest, for a CPU."
        batch: int = Field(128, ge=2)
        "Images in a step. Ours."
        lr: float = Field(1e-3, gt=0)
        "Learning rate of Adam. Ours."
        sigma2_x: float = Field(0.01, gt=0)
        "Variance of the Gaussian likelihood, on which `nll` alone depends. Source: the paper's release."
        pictures: int = Field(12, ge=1)
        "Test images in the picture: originals over reconstructions."

    needs = frozenset({"no_decoder", "new_decoder", "test"})

    def check(self, data: Data) -> None:
        require_images_to_fit_on(data, least=2)  # batch norm normalises over them

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: F.adaptive_avg_pool2d(x_BCHW, 2).flatten(1),  # the quadrants
            values={"R2": (0.8, 1.0)},
            noise={"R2": (-1.0, 0.1)},
            params={"epochs": 100, "lr": 1e-2},
        )

    def run(self, subject: Subject) -> Result:
        fit_N, held_out_N = subject.selection()
        train_images = partial(subject.images, "train")
        test_images = partial(subject.images, "test")
        train_ND = subject.features("train")
        likelihood = Gaussian(self.params.sigma2_x)
        mean_CHW = mean_image(train_images, len(train_ND))
        epochs = self._best_epoch(subject, train_ND, fit_N, held_out_N)
        chosen: dict[str, object] = {"selected": {"epochs": epochs}}
        if epochs == self.params.epochs > 1:
            logger.warning(f"a decoder was best at its last epoch, {epochs}: raise the evaluator's 'epochs'")
            chosen["found"] = {"undertrained": True}
        scale = Standardizer(train_ND)
        *_, decoder = self._trained(subject, scale(train_ND), train_images, epochs)
        z_ND = scale(subject.features("test"))
        errors = reconstruction_errors(test_images, z_ND, decoder, likelihood, mean_CHW)
        metrics = {
            "mse": Metric(errors.mse, "squared error/pixel, pixels in [0, 1]", "lower", chosen),
            "nll": Metric(errors.nll, "nats/image", "lower", {"likelihood": str(likelihood), **chosen}),
        }
        if errors.r2 is not None:
            metrics["R2"] = Metric(errors.r2, "R2", "higher", chosen)
        first = slice(0, self.params.pictures)
        originals_NCHW = test_images(first)
        expected_NCHW = likelihood.mean(decoder(z_ND[first]))
        shown = reconstruction_picture(originals_NCHW, expected_NCHW)
        return Result(metrics, {"test": shown}, self._protocol(subject.data))

    def _protocol(self, data: Data) -> dict[str, object]:
        return {
            "split": "test",
            "z": "representation of the un-augmented image, standardised",
            "decoder": "the backbone's, trained on the frozen representations of train",
            "selection": f"epochs on {data.held_out}; then trained anew on all of train",
            "selected_on": "held_out",
        }

    def _best_epoch(self, subject: Subject, train_ND: Tensor, fit_N: Tensor, held_out_N: Tensor) -> int:
        scale = Standardizer(train_ND[fit_N])
        z_ND = scale(train_ND[fit_N])
        held_ND = scale(train_ND[held_out_N])

        def images(chosen_N: Tensor, index_B: Tensor) -> Tensor:
            return subject.images("train", chosen_N[index_B])

        def error(decoder: nn.Module) -> Tensor:
            total = held_ND.new_zeros((), dtype=torch.float64)
            for index_B in torch.arange(len(held_ND), device=held_ND.device).split(DECODED_AT_ONCE):
                logits_BCHW = decoder(held_ND[index_B])
                mean = _loss(logits_BCHW, images(held_out_N, index_B))
                total += mean * len(index_B)
            return total

        decoders = self._trained(subject, z_ND, partial(images, fit_N), self.params.epochs)
        errors = torch.stack([error(decoder) for decoder in decoders]).tolist()
        return 1 + errors.index(min(errors))

    def _trained(self, subject: Subject, z_ND: Tensor, images: partial[Tensor], epochs: int) -> Iterator[nn.Module]:
        """A new decoder after each epoch of training, in evaluation mode."""
        decoder = subject.new_decoder()

        def loss(logits_BCHW: Tensor, index_B: Tensor) -> Tensor:
            return _loss(logits_BCHW, images(index_B))

        training = train_epochs(
            decoder,
            z_ND,
            loss,
            epochs=epochs,
            batch=self.params.batch,
            lr=self.params.lr,
            generator=subject.generator,
        )
        for _ in range(epochs):
            decoder.train()
            next(training)
            yield decoder.eval()


def _loss(logits_BCHW: Tensor, x_BCHW: Tensor) -> Tensor:
    """Mean squared error of the expected images."""
    return F.mse_loss(logits_BCHW.sigmoid(), x_BCHW)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Decoder
