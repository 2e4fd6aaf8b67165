"""Cross-modal generation: images that the model makes of captions alone, and whether they show what the captions say.

N counts the test images, U their distinct captions, k the neighbours of an image.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Modality, Oracle, Result, Skip, Subject
from simssl.blocks.images import captioned_pictures
from simssl.blocks.probes import labelled_targets, require_modality
from simssl.blocks.statistics import vote_of_nearest
from simssl.blocks.text import to_text

BLOCK = 500
"""Captions that are decoded at once."""


class CrossGeneration(Evaluator):
    """The expected image of a test caption, by its posterior's mean; and the class that its nearest real images have.

    `accuracy` is the share of test captions of whose image the neighbours, training images by their pixels, have the
    class of the caption's own image. What the same vote says of the real test images stands beside it in the protocol.
    """

    class Params(simssl.Params):
        modality: str = Field("caption", min_length=1)
        "The modality that images are made of."
        target: str = "class"
        "The target of which an image's class is told by its neighbours."
        k: int = Field(5, ge=1)
        "Neighbours that vote. Ours."
        bank: int = Field(10_000, ge=1)
        "Most training images that neighbours are looked for in, drawn at random. Ours."
        pictures: int = Field(24, ge=1)
        "Captions in the picture, each over its image."

    needs = frozenset({"decoder", "modality_posterior", "test"})

    @classmethod
    def oracle(cls) -> Oracle:
        def caption(tokens_BL: Tensor) -> Tensor:
            words_BV = torch.nn.functional.one_hot(tokens_BL, 6).sum(1)  # "", ne, nw, se, square, sw
            return 0.1 + 0.7 * words_BV[:, [2, 1, 5, 3]]

        def image(z_B4: Tensor) -> Tensor:
            corners_B122 = z_B4.view(-1, 1, 2, 2)
            return corners_B122.repeat_interleave(4, 2).repeat_interleave(4, 3).clamp(0, 1)

        return Oracle(
            representation=lambda x_BCHW: torch.nn.functional.avg_pool2d(x_BCHW, 4).flatten(1),
            decode=image,
            modality=caption,
            params={"target": "corner"},
            values={"corner/accuracy": (1.0, 1.0)},
            noise={"corner/accuracy": (0.0, 0.75)},
        )

    def check(self, data: Data) -> None:
        require_modality(data, self.params.modality)
        labelled_targets(data, [self.params.target])

    def run(self, subject: Subject) -> Result:
        test = subject.data.test
        assert test is not None
        name = self.params.modality
        if name not in test.modalities:
            raise Skip(f"the test split has no modality '{name}'")
        values_UL, text_N = test.modalities[name].values.unique(dim=0, return_inverse=True)
        made_UCHW = self._images_of(subject, values_UL)
        label_N = test.targets[self.params.target].values.to(subject.device)
        known_N = label_N >= 0

        bank_N = self._bank(subject)
        bank_NP = subject.images("train", bank_N).flatten(1)
        predicted_U = self._vote(subject, made_UCHW, bank_N, bank_NP)
        predicted_N = predicted_U[text_N.to(subject.device)]
        accuracy = float((predicted_N == label_N)[known_N].double().mean())
        blocks = torch.arange(len(test)).split(BLOCK)
        votes = [self._vote(subject, subject.images("test", index_B), bank_N, bank_NP) for index_B in blocks]
        real_N = torch.cat(votes)
        of_real = float((real_N == label_N)[known_N].double().mean())
        protocol = {
            "split": "test",
            "z": f"posterior mean of the {name}, without the image",
            "classifier": f"{self.params.k} nearest of {len(bank_N)} training images by their pixels, uniform vote",
            "found": {"accuracy on the real test images": round(of_real, 4)},
        }
        metrics = {f"{self.params.target}/accuracy": Metric(accuracy, "fraction", "higher")}
        shown = slice(0, self.params.pictures)
        picture = captioned_pictures(made_UCHW[shown].cpu(), texts_of(test.modalities[name], values_UL[shown]))
        return Result(metrics, {f"images_of_{name}": picture}, protocol)

    def _images_of(self, subject: Subject, values_UL: Tensor) -> Tensor:
        """The expected image (U, C, H, W) of each caption."""
        assert subject.likelihood is not None
        made = []
        for values_BL in values_UL.split(BLOCK):
            z_BD = subject.modality_posterior(self.params.modality, values_BL).mean.float()
            made.append(subject.likelihood.mean(subject.decode(z_BD)))
        return torch.cat(made)

    def _bank(self, subject: Subject) -> Tensor:
        """The indices of labelled training images, at random, that neighbours are looked for in."""
        label_N = subject.data.train.targets[self.params.target].values
        known_N = (label_N >= 0).nonzero()[:, 0]
        order_N = torch.randperm(len(known_N), generator=subject.generator, device=subject.device)
        return known_N[order_N[: self.params.bank].cpu()]

    def _vote(self, subject: Subject, images_NCHW: Tensor, bank_N: Tensor, bank_NP: Tensor) -> Tensor:
        """The class (N,) that the images' neighbours in the bank have; `bank_NP` are the pixels of its images."""
        target = subject.data.train.targets[self.params.target]
        labels_N = target.values[bank_N].to(subject.device)
        k = min(self.params.k, len(bank_N))
        return vote_of_nearest(images_NCHW.flatten(1).float(), bank_NP, labels_N, k, len(target.classes or ()))


def texts_of(modality: Modality, values_NL: Tensor) -> list[str]:
    """The texts of tokens, or the names of a vector's entries that are more than a half."""
    if modality.vocabulary is not None:
        return [to_text(tokens_L, modality.vocabulary) for tokens_L in values_NL]
    texts = []
    for values_V in values_NL:
        true = [name for name, value in zip(modality.names or (), values_V.tolist(), strict=True) if value > 0.5]
        texts.append(", ".join(true))
    return texts


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return CrossGeneration
