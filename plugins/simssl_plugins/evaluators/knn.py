"""k nearest neighbours (the paper's Acc-KNN): Euclidean, uniform vote, ties to the nearest.

T counts targets, Q the queries, and K the numbers of neighbours that are tried.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Split, Subject
from simssl.blocks.probes import LayerName, TargetNames, class_targets, labelled_targets, selection_split
from simssl.blocks.statistics import nearest_rows, vote

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
            "vote": "Euclidean, uniform, ties to the nearest",
            "selection": self._selection(subject.data),
            "selected_on": self.params.select if len(self.ks) > 1 else "nothing",
        }
        return Result(self._metrics(subject, targets), protocol=protocol)

    def _selection(self, data: Data) -> str:
        if len(self.ks) == 1:
            return "none: k is given"
        if self.params.select == "test":
            return "k on the TEST split, as the paper's release does"
        return f"k on {data.held_out}; then all of train votes"

    def _metrics(self, subject: Subject, targets: Sequence[str]) -> dict[str, Metric]:
        train, test = subject.data.train, subject.data.test
        assert test is not None
        train_ND = subject.features("train", self.params.layer)
        test_ND = subject.features("test", self.params.layer)
        train_TN = _labels(train, targets).to(subject.device)
        test_TN = _labels(test, targets).to(subject.device)
        accuracies_TK = accuracies_of_each_k(train_ND, train_TN, test_ND, test_TN, self.ks)
        chosen_on_TK = accuracies_TK
        if self._selects:
            fit_N, out_N = subject.selection()
            chosen_on_TK = accuracies_of_each_k(
                train_ND[fit_N],
                train_TN[:, fit_N],
                train_ND[out_N],
                train_TN[:, out_N],
                self.ks,
            )
        best_T = chosen_on_TK.argmax(1).tolist()
        metrics = {}
        for name, accuracy_K, best in zip(targets, accuracies_TK, best_T, strict=True):
            accuracy = accuracy_K[best].item()
            protocol = {"selected": {"k": self.ks[best]}}
            metrics[f"{name}/accuracy"] = Metric(accuracy, "fraction", "higher", protocol)
        return metrics


def _labels(split: Split, targets: Sequence[str]) -> Tensor:
    """The labels (T, N) of these targets."""
    return torch.stack([split.targets[name].values for name in targets])


def accuracies_of_each_k(
    bank_ND: Tensor, labels_TN: Tensor, queries_QD: Tensor, truth_TQ: Tensor, ks: tuple[int, ...]
) -> Tensor:
    """The accuracy (T, K) of the vote of each number of neighbours, for each target; a label of -1 does not count.

    Neighbours are searched once for all targets that the same images have.
    """
    searched: dict[bytes, Tensor] = {}
    accuracies = []
    for labels_N, truth_Q in zip(labels_TN, truth_TQ, strict=True):
        known_N = labels_N >= 0
        known_Q = truth_Q >= 0
        known = torch.cat([known_N, known_Q])
        images = known.cpu().numpy().tobytes()
        if images not in searched:
            searched[images] = nearest_rows(queries_QD[known_Q], bank_ND[known_N], max(ks))
        neighbours_QN = labels_N[known_N][searched[images]]
        known_truth_Q = truth_Q[known_Q]
        classes = int(labels_N.max()) + 1
        right = []
        for k in ks:
            predicted_Q = vote(neighbours_QN[:, :k], classes)
            right.append(predicted_Q == known_truth_Q)
        right_KQ = torch.stack(right)
        accuracies.append(right_KQ.double().mean(1))
    return torch.stack(accuracies)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Knn
