"""Decoder: how well an image can be given back from the representation of a method that has no decoder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import Data, Evaluator, Metric, Result, Subject
from simssl.blocks.likelihood import Gaussian
from simssl.blocks.probes import Standardizer, train_epochs
from simssl.blocks.reconstruction import errors, mean_image, picture


class Decoder(Evaluator):
    """A decoder of the experiment's backbone, trained on the frozen representations of the training images; then the
    numbers and the picture of `reconstruction`.

    The representations are standardised, and -log N(x; sigmoid(logits), sigma2_x I) is minimised by Adam. The epoch of
    least mse on the held-out images is taken, and a new decoder trained on all of train for as many. `mse` is
    comparable with that of methods with a decoder; `nll` is under the Gaussian above, `R2` is
    1 - mse / (mse of the training images' mean).
    """

    class Params(simssl.Params):
        epochs: int = Field(10, ge=1)
        "Most passes over the training images. Ours: modest, for a CPU."
        batch: int = Field(128, ge=1)
        "Images in a step. Ours."
        lr: float = Field(1e-3, gt=0)
        "Learning rate of Adam. Ours."
        sigma2_x: float = Field(0.01, gt=0)
        "Variance of the Gaussian likelihood; of the numbers, `nll` alone depends on it. Source: the paper's release."
        pictures: int = Field(12, ge=1)
        "Test images in the picture: originals over reconstructions."

    needs = frozenset({"no_decoder", "test"})

    def run(self, subject: Subject) -> Result:
        fit_N, held_out_N = subject.selection()
        train_ND, likelihood = subject.features("train"), Gaussian(self.params.sigma2_x)
        mean_CHW = mean_image(partial(subject.images, "train"), len(train_ND))
        epochs = self._best_epoch(subject, train_ND, fit_N, held_out_N, mean_CHW)
        scale = Standardizer(train_ND)
        *_, decoder = self._trained(subject, scale(train_ND), partial(subject.images, "train"), epochs)
        z_ND = scale(subject.features("test"))
        found = errors(partial(subject.images, "test"), z_ND, decoder, likelihood, mean_CHW)
        chosen = {"selected": {"epochs": epochs}}
        metrics = {
            "mse": Metric(found.mse, "squared error/pixel, pixels in [0, 1]", "lower", chosen),
            "nll": Metric(found.nll, "nats/image", "lower", {"likelihood": str(likelihood), **chosen}),
        }
        if found.r2 is not None:
            metrics["R2"] = Metric(found.r2, "R2", "higher", chosen)
        first = slice(0, self.params.pictures)
        shown = picture(subject.images("test", first), likelihood.mean(decoder(z_ND[first])))
        return Result(metrics, {"test": shown}, self._protocol(subject.data))

    def _protocol(self, data: Data) -> dict[str, object]:
        return {
            "split": "test",
            "z": "representation of the un-augmented image, standardised",
            "decoder": "the backbone's, trained on the frozen representations of train",
            "selection": f"epochs on {data.held_out}; then trained anew on all of train",
            "selected_on": "held_out",
        }

    def _best_epoch(
        self, subject: Subject, train_ND: Tensor, fit_N: Tensor, held_out_N: Tensor, mean_CHW: Tensor
    ) -> int:
        scale = Standardizer(train_ND[fit_N])
        z_ND, held_ND = scale(train_ND[fit_N]), scale(train_ND[held_out_N])

        def images(chosen_N: Tensor, index_B: Tensor) -> Tensor:
            return subject.images("train", chosen_N[index_B.to(chosen_N.device)])

        likelihood, held_out = Gaussian(self.params.sigma2_x), partial(images, held_out_N)
        decoders = self._trained(subject, z_ND, partial(images, fit_N), self.params.epochs)
        mse_E = [errors(held_out, held_ND, decoder, likelihood, mean_CHW).mse for decoder in decoders]
        return 1 + mse_E.index(min(mse_E))

    def _trained(self, subject: Subject, z_ND: Tensor, images: partial[Tensor], epochs: int) -> Iterator[nn.Module]:
        """A new decoder after each epoch of training, in evaluation mode."""
        decoder, likelihood = subject.new_decoder(), Gaussian(self.params.sigma2_x)

        def loss(logits_BCHW: Tensor, index_B: Tensor) -> Tensor:
            x_BCHW = images(index_B)
            return -likelihood.log_prob(x_BCHW, logits_BCHW).mean() / x_BCHW[0].numel()

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


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Decoder
