"""Retrieval: which caption belongs to an image, and which image to a caption, by cosine (Radford et al. 2021).

N counts the test images, U their distinct captions, P the width of the space that both are compared in.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Skip, Subject
from simssl.blocks.probes import require_modality

AT = (1, 5, 10)
"""Numbers of candidates among which the right one must be."""

BLOCK = 500
"""Queries whose cosines with all candidates are in memory at once."""


class Retrieval(Evaluator):
    """Recall at 1, 5 and 10 on the test split, from image to caption and from caption to image; and `recall_1` of both.

    Images are compared with captions by the cosine of what the method offers for that. Captions that say the same are
    one: an image looks for its own among the distinct captions, and for a caption every image of which it holds is a
    hit. A wrong candidate that is as near as the right one stands before it. The recall by chance, which grows as
    captions become fewer, stands in the protocol.
    """

    class Params(simssl.Params):
        modality: str = Field("caption", min_length=1)
        "The modality that images are compared with."

    needs = frozenset({"modality", "test"})

    def check(self, data: Data) -> None:
        require_modality(data, self.params.modality)

    @classmethod
    def oracle(cls) -> Oracle:
        def corner(x_BCHW: Tensor) -> Tensor:
            return F.avg_pool2d(x_BCHW, 4).flatten(1) - 0.3

        def caption(tokens_BL: Tensor) -> Tensor:
            words_BV = F.one_hot(tokens_BL, 6).sum(1)  # "", ne, nw, se, square, sw
            return words_BV[:, [2, 1, 5, 3]] - 0.25

        return Oracle(
            representation=corner,
            modality=caption,
            values={"image_to_caption/recall_1": (1.0, 1.0), "caption_to_image/recall_1": (1.0, 1.0)},
            noise={"image_to_caption/recall_1": (0.05, 0.55), "caption_to_image/recall_1": (0.0, 0.75)},
        )

    def run(self, subject: Subject) -> Result:
        assert subject.data.test is not None
        name = self.params.modality
        if name not in subject.data.test.modalities:
            raise Skip(f"the test split has no modality '{name}'")
        texts_UL, text_N = subject.data.test.modalities[name].values.unique(dim=0, return_inverse=True)
        text_N = text_N.to(subject.device)
        image_NP = F.normalize(subject.features("test", subject.joint_layer), dim=1)
        encoded = [subject.encode_modality(name, values_BL).float() for values_BL in texts_UL.split(BLOCK)]
        text_UP = F.normalize(torch.cat(encoded), dim=1)
        count_U = text_N.bincount(minlength=len(text_UP))

        metrics = {}
        to_text_N = ranks_of_texts(image_NP, text_UP, text_N)
        to_image_U = ranks_of_images(image_NP, text_UP, text_N)
        for k in AT:
            recall = float((to_text_N < k).double().mean())
            chance = min(k, len(text_UP)) / len(text_UP)
            metrics[f"image_to_{name}/recall_{k}"] = _metric(recall, chance)
            hits = float((count_U * (to_image_U < k)).sum())
            recall = hits / len(text_N)
            metrics[f"{name}_to_image/recall_{k}"] = _metric(recall, chance_of_images(count_U.tolist(), k))
        ways = [metrics[f"{way}/recall_1"] for way in (f"image_to_{name}", f"{name}_to_image")]
        metrics["recall_1"] = _metric(fmean(one.value for one in ways), fmean(one.protocol["chance"] for one in ways))
        protocol = {
            "split": "test",
            "similarity": f"cosine, in the space that the method has for images and {name}",
            "found": {"layer of the images": subject.joint_layer},
            "candidates": f"{len(text_UP)} distinct values of {name}; or {len(text_N)} images, of which all with an "
            f"equal {name} are hits; ties count as wrong",
        }
        return Result(metrics, protocol=protocol)


def _metric(recall: float, chance: float) -> Metric:
    return Metric(recall, "fraction", "higher", {"chance": round(chance, 6)})


def ranks_of_texts(image_NP: Tensor, text_UP: Tensor, text_N: Tensor) -> Tensor:
    """The number (N,) of texts that are at least as near to each image as its own, which is that of number `text`."""
    ranks = []
    for image_BP, text_B in zip(image_NP.split(BLOCK), text_N.split(BLOCK), strict=True):
        score_BU = image_BP @ text_UP.T
        own_B1 = score_BU.gather(1, text_B[:, None])
        ranks.append((score_BU >= own_B1).sum(1) - 1)
    return torch.cat(ranks)


def ranks_of_images(image_NP: Tensor, text_UP: Tensor, text_N: Tensor) -> Tensor:
    """The number (U,) of other texts' images that are at least as near to each text as the nearest of its own."""
    ranks = []
    number_U = torch.arange(len(text_UP), device=text_UP.device)
    for text_BP, number_B in zip(text_UP.split(BLOCK), number_U.split(BLOCK), strict=True):
        score_BN = text_BP @ image_NP.T
        is_own_BN = number_B[:, None] == text_N
        nearest_B1 = score_BN.masked_fill(~is_own_BN, -torch.inf).amax(1, keepdim=True)
        ranks.append(((score_BN >= nearest_B1) & ~is_own_BN).sum(1))
    return torch.cat(ranks)


def chance_of_images(count_U: Sequence[int], k: int) -> float:
    """The chance that k of all N images, drawn at random, hold one of a caption's n, averaged over the N captions.

    It is 1 - C(N - n, k) / C(N, k).
    """
    N = sum(count_U)
    hits = 0.0
    for n in count_U:
        missed = 1.0
        for drawn in range(min(k, N)):
            missed *= max(0, N - n - drawn) / (N - drawn)
        hits += n * (1 - missed)
    return hits / N


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Retrieval
