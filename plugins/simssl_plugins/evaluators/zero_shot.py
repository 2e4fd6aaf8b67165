"""Zero-shot classification (Radford et al. 2021, section 3.1): an image has the class whose prompt is nearest to it.

K counts the classes, P is the width of the space that images and prompts are compared in.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Modality, Oracle, Result, Skip, Subject
from simssl.blocks.probes import labelled_targets, require_modality
from simssl.blocks.text import to_tokens


class ZeroShot(Evaluator):
    """Accuracy on the test split of the class whose prompts are nearest by cosine. Nothing is trained.

    A prompt is a text with {} where the class stands. Of several, the mean of their directions counts, as in the paper.
    """

    class Params(simssl.Params):
        prompts: tuple[str, ...] = Field(min_length=1, examples=[("square {}",)])
        "Texts with {} for the class, such as [a digit {}]. All of their words must be in the captions."
        target: str = "class"
        "The target whose classes are told apart."
        names: tuple[str, ...] | None = None
        "Words for the classes, in their order, where captions call them otherwise; the target's own if empty."
        modality: str = Field("caption", min_length=1)
        "The modality that prompts are texts of."

        @field_validator("prompts")
        @classmethod
        def _have_a_place(cls, prompts: tuple[str, ...]) -> tuple[str, ...]:
            for prompt in prompts:
                if "{}" not in prompt:
                    raise ValueError(f"the prompt '{prompt}' has no {{}} for the class")
            return prompts

    needs = frozenset({"modality", "test"})

    @classmethod
    def oracle(cls) -> Oracle:
        def caption(tokens_BL: Tensor) -> Tensor:
            words_BV = F.one_hot(tokens_BL, 6).sum(1)  # "", ne, nw, se, square, sw
            return words_BV[:, [2, 1, 5, 3]] - 0.25

        return Oracle(
            representation=lambda x_BCHW: F.avg_pool2d(x_BCHW, 4).flatten(1) - 0.3,
            modality=caption,
            params={"prompts": ("square {}", "{}"), "target": "corner"},
            values={"corner/accuracy": (1.0, 1.0)},
            noise={"corner/accuracy": (0.05, 0.55)},
        )

    def check(self, data: Data) -> None:
        require_modality(data, self.params.modality)
        labelled_targets(data, [self.params.target])
        if data.train.modalities:
            self._prompts(data)

    def _prompts(self, data: Data) -> list[Tensor]:
        """The tokens (K, L) of each prompt. ValueError if they do not fit the data."""
        modality = data.train.modalities[self.params.modality]
        if modality.vocabulary is None:
            raise ValueError(f"'{self.params.modality}' is a vector, and prompts are texts")
        names = self._names(data)
        return [_tokens([prompt.replace("{}", name) for name in names], modality) for prompt in self.params.prompts]

    def _names(self, data: Data) -> tuple[str, ...]:
        classes: tuple[str, ...] = data.train.targets[self.params.target].classes or ()
        names: tuple[str, ...] = self.params.names or classes
        if len(names) != len(classes):
            raise ValueError(
                f"'names' has {len(names)} words, and the target '{self.params.target}' {len(classes)} classes"
            )
        return names

    def run(self, subject: Subject) -> Result:
        test = subject.data.test
        assert test is not None
        if self.params.modality not in subject.data.train.modalities:
            raise Skip(f"the data set has no modality '{self.params.modality}'")
        class_KP = self._classes(subject)
        image_NP = subject.features("test", subject.joint_layer)
        label_N = test.targets[self.params.target].values.to(subject.device)
        predicted_N = (F.normalize(image_NP, dim=1) @ class_KP.T).argmax(1)
        known_N = label_N >= 0
        accuracy = float((predicted_N == label_N)[known_N].double().mean())
        protocol = {
            "split": "test",
            "similarity": "cosine of an image and the mean direction of the prompts",
            "found": {"layer of the images": subject.joint_layer},
            "prompts": list(self.params.prompts),
            "chance": round(1 / len(class_KP), 6),
        }
        return Result({f"{self.params.target}/accuracy": Metric(accuracy, "fraction", "higher")}, protocol=protocol)

    def _classes(self, subject: Subject) -> Tensor:
        """The direction (K, P) of each class: the mean of its prompts'."""
        directions = []
        for tokens_KL in self._prompts(subject.data):
            encoded_KP = subject.encode_modality(self.params.modality, tokens_KL).float()
            directions.append(F.normalize(encoded_KP, dim=1))
        return F.normalize(torch.stack(directions).mean(0), dim=1)


def _tokens(texts: list[str], modality: Modality) -> Tensor:
    """The tokens (N, L) of texts. ValueError names a word that no caption has, or a text that is longer than all."""
    return to_tokens(texts, modality.vocabulary or (), modality.values.shape[1])


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return ZeroShot
