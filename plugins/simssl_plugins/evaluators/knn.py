"""k nearest neighbours (the paper's Acc-KNN): Euclidean, uniform vote, ties to the nearest.

Or, as in Wu et al. 2018 and lightly's benchmarks, by the cosine s, votes weighted by exp(s / temperature).

T counts targets, Q the queries, and K the numbers of neighbours that are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Split, Subject
from simssl.blocks.probes import LayerName, TargetNames, class_targets, labelled_targets, selection_split
from simssl.blocks.statistics import cosines, nearest_rows, vote, weighted_vote

Count = Annotated[int, Field(ge=1)]


class Knn(Evaluator):
    """Accuracy of the k nearest training images' vote on the test split, in one layer, as it is."""

    class Params(simssl.Params):
        targets: TargetNames | None = None
        "Targets of the data set to predict; all that have classes if empty."
        k: Count | Annotated[tuple[Count, ...], Field(min_length=1)] = tuple(range(1, 21))
        "Neighbours that vote; from several, the best on the held-out images is taken. Source: 1 to 20, the release."
        layer: LayerName = "representation"
        select: Literal["held_out", "test"] = "held_out"
        "Where k is chosen: on images held out of train, or on test (the release's way, for its tables alone)."
        distance: Literal["euclidean", "cosine"] = simssl.added("euclidean")
        "Whose least is nearest: the distance of two features, or of their directions."
        temperature: float | None = simssl.added(None, gt=0)
        "Weighs votes by exp(s / temperature), s the cosine; all are alike if empty. Source: lightly's benchmarks, 0.1."

        @model_validator(mode="after")
        def _of_cosines(self) -> Self:
            if self.temperature is not None and self.distance != "cosine":
                raise ValueError("'temperature' weighs votes by cosines, so it needs 'distance: cosine'")
            return self

    needs = frozenset({"labels", "test"})

    def check(self, data: Data) -> None:
        k = max(self.ks)
        for name in labelled_targets(data, self.params.targets, held_out=self._selects):
            values_N = data.train.targets[name].values
            if self._selects:
                fit_N, _ = selection_split(data)
                values_N = values_N[fit_N]
            voters = int((values_N >= 0).sum())
            if k > voters:
                where = "to fit on" if self._selects else "of train"
                images = "1 image" if voters == 1 else f"{voters} images"
                raise ValueError(f"k is {k}, and {images} {where} have a '{name}'; set 'k' to {voters} or less")

    @property
    def ks(self) -> tuple[int, ...]:
        k = self.params.k
        if isinstance(k, int):
            return (k,)
        return tuple(sorted(set(k)))

    @property
    def _selects(self) -> bool:
        """True if k is chosen on the held-out images."""
        return self.params.select == "held_out" and len(self.ks) > 1

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: x_BCHW.flatten(1),
            values={"corner/accuracy": (1.0, 1.0)},
            noise={"corner/accuracy": (0.05, 0.55)},
        )

    def run(self, subject: Subject) -> Result:
        targets = class_targets(subject.data.train.targets, self.params.targets)
        protocol = {
            "split": "test",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, as it is",
            "vote": self._vote,
            "selection": self._selection(subject.data),
            "selected_on": self.params.select if len(self.ks) > 1 else "nothing",
        }
        return Result(self._metrics(subject, targets), protocol=protocol)

    @property
    def _vote(self) -> str:
        """How neighbours vote, in words."""
        if self.params.temperature is not None:
            return f"cosine s, weights exp(s / {self.params.temperature:g})"
        name = "Euclidean" if self.params.distance == "euclidean" else "cosine"
        return f"{name}, uniform, ties to the nearest"

    def _selection(self, data: Data) -> str:
        if len(self.ks) == 1:
            return "none: k is given"
        if self.params.select == "test":
            return "k on the TEST split, as the paper's release does"
        return f"k on {data.held_out}; then all of train votes"

    def _metrics(self, subject: Subject, targets: Sequence[str]) -> dict[str, Metric]:
        train, test = subject.data.train, subject.data.test
        assert test is not None
        train_ND = self._features(subject, "train")
        test_ND = self._features(subject, "test")
        train_TN = _labels(train, targets).to(subject.device)
        test_TN = _labels(test, targets).to(subject.device)
        accuracies_TK = self._accuracies(train_ND, train_TN, test_ND, test_TN)
        held_out = self._held_out(subject, targets, train_ND, train_TN)
        metrics = {}
        for name, accuracy_K in zip(targets, accuracies_TK, strict=True):
            chosen_on_K = held_out[name] if self._selects else accuracy_K
            best = int(chosen_on_K.argmax())
            protocol = {"selected": {"k": self.ks[best]}}
            there = held_out[name][best].item() if name in held_out else None
            metrics[f"{name}/accuracy"] = Metric(accuracy_K[best].item(), "fraction", "higher", protocol, there)
        return metrics

    def _features(self, subject: Subject, split: str) -> Tensor:
        """The features (N, D), of length 1 if directions are compared."""
        z_ND = subject.features(split, self.params.layer)
        return F.normalize(z_ND, dim=1) if self.params.distance == "cosine" else z_ND

    def _held_out(
        self, subject: Subject, targets: Sequence[str], train_ND: Tensor, train_TN: Tensor
    ) -> dict[str, Tensor]:
        """The accuracies (K,) on the held-out images, of the votes of the others, by target.

        Where k is given a target may have too few labels for it, and has none then. Nor has one if k is chosen on test.
        """
        if len(self.ks) > 1 and not self._selects:
            return {}
        fit_N, out_N = subject.selection()
        fit_TN = train_TN[:, fit_N]
        out_TN = train_TN[:, out_N]
        has_voters_T = (fit_TN >= 0).sum(1) >= max(self.ks)
        has_queries_T = (out_TN >= 0).any(1)
        measured_T = has_voters_T & has_queries_T
        if not bool(measured_T.any()):
            return {}
        accuracies_TK = self._accuracies(train_ND[fit_N], fit_TN[measured_T], train_ND[out_N], out_TN[measured_T])
        names = [name for name, measured in zip(targets, measured_T.tolist(), strict=True) if measured]
        return dict(zip(names, accuracies_TK, strict=True))

    def _accuracies(self, bank_ND: Tensor, labels_TN: Tensor, queries_QD: Tensor, truth_TQ: Tensor) -> Tensor:
        """The accuracy (T, K) of the vote of each number of neighbours, for each target; a label of -1 does not count.

        Neighbours are searched once for all targets that the same images have.
        """
        searched: dict[bytes, Neighbours] = {}
        accuracies = []
        for labels_N, truth_Q in zip(labels_TN, truth_TQ, strict=True):
            known_N = labels_N >= 0
            known_Q = truth_Q >= 0
            known = torch.cat([known_N, known_Q])
            images = known.cpu().numpy().tobytes()
            if images not in searched:
                searched[images] = self._neighbours(queries_QD[known_Q], bank_ND[known_N])
            right_KQ = searched[images].votes(labels_N[known_N], self.ks) == truth_Q[known_Q]
            accuracies.append(right_KQ.double().mean(1))
        return torch.stack(accuracies)

    def _neighbours(self, queries_QD: Tensor, bank_ND: Tensor) -> Neighbours:
        near_Qk = nearest_rows(queries_QD, bank_ND, max(self.ks))
        temperature = self.params.temperature
        if temperature is None:
            return Neighbours(near_Qk)
        cosine_Qk = cosines(queries_QD, bank_ND, near_Qk)
        behind_Qk = cosine_Qk - cosine_Qk[:, :1]  # so that exp() does not overflow; votes are as before
        return Neighbours(near_Qk, (behind_Qk / temperature).exp())


@dataclass(frozen=True)
class Neighbours:
    """The nearest images (Q, k) of each query, nearest first, and the weights of their votes if they differ."""

    near_Qk: Tensor
    weights_Qk: Tensor | None = None

    def votes(self, labels_N: Tensor, ks: Sequence[int]) -> Tensor:
        """The labels (K, Q) that each number of neighbours votes for."""
        labels_Qk = labels_N[self.near_Qk]
        classes = int(labels_N.max()) + 1
        votes = []
        for k in ks:
            if self.weights_Qk is None:
                votes.append(vote(labels_Qk[:, :k], classes))
            else:
                votes.append(weighted_vote(labels_Qk[:, :k], self.weights_Qk[:, :k], classes))
        return torch.stack(votes)


def _labels(split: Split, targets: Sequence[str]) -> Tensor:
    """The labels (T, N) of these targets."""
    return torch.stack([split.targets[name].values for name in targets])


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Knn
