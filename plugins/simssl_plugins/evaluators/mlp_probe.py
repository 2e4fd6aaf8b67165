"""MLP probe (the paper's Acc-MP): an MLP D-D-C on the frozen representation."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Result, Subject
from simssl.blocks.probes import ParallelMLP, accuracies, cross_entropies, train_epochs
from simssl.blocks.targets import class_targets


class MlpProbe(Evaluator):
    """Accuracy on the test split of an MLP D-D-C trained on one layer of the training split, as it is.

    The probes of several targets are trained as one batched network.
    """

    class Params(simssl.Params):
        targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
        "Targets of the data set to predict; all that have classes if empty."
        mean: bool = False
        "Give the mean over the targets too, which a table shows instead of them."
        epochs: int = Field(200, ge=1)
        "Most passes over the training images. Source: the paper, 200."
        batch: int = Field(64, ge=1)
        "Images in a step. Source: the paper, 64."
        lr: float = Field(3e-4, gt=0)
        "Learning rate of Adam. Source: the paper, 3e-4."
        layer: str = "representation"
        "What is measured: the representation, or another layer that the method offers, such as projection."
        select: Literal["held_out", "test"] = "held_out"
        "Where the epoch is chosen: on images held out of train, or on test (the release's way, for its tables alone)."

    needs = frozenset({"labels", "test"})

    def check(self, data: Data) -> None:
        class_targets(data.train.targets, self.params.targets)

    def run(self, subject: Subject) -> Result:
        names = class_targets(subject.data.train.targets, self.params.targets)
        x_ND, test_ND = (subject.features(split, self.params.layer) for split in ("train", "test"))
        labels_MN, test_MN = self._labels(subject, "train", names), self._labels(subject, "test", names)
        if self.params.select == "held_out":
            fit_N, held_N = subject.selection()
            chosen_EM = self._accuracies(
                subject, x_ND[fit_N], labels_MN[:, fit_N], x_ND[held_N], labels_MN[:, held_N], self.params.epochs
            )
            epochs_M = chosen_EM.argmax(0)
            scores_EM = self._accuracies(subject, x_ND, labels_MN, test_ND, test_MN, int(epochs_M.max()) + 1)
        else:
            scores_EM = self._accuracies(subject, x_ND, labels_MN, test_ND, test_MN, self.params.epochs)
            epochs_M = scores_EM.argmax(0)
        metrics = {
            f"{name}/accuracy": Metric(
                scores_EM[epochs_M[m], m].item(), "fraction", "higher", {"selected": {"epochs": int(epochs_M[m]) + 1}}
            )
            for m, name in enumerate(names)
        }
        if self.params.mean:
            mean = sum(metric.value for metric in metrics.values()) / len(metrics)
            metrics = {"accuracy": Metric(mean, "fraction", "higher"), **metrics}
        return Result(metrics, protocol=self._protocol(subject.data))

    def _protocol(self, data: Data) -> dict[str, str]:
        held_out = f"epochs on {data.held_out}; then refitted on all of train"
        test = "epochs on the TEST split, as the paper's release does"
        return {
            "split": "test",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, as it is",
            "selection": held_out if self.params.select == "held_out" else test,
            "selected_on": self.params.select,
        }

    def _labels(self, subject: Subject, split: str, names: list[str]) -> Tensor:
        """(M, N) labels of M targets."""
        targets = getattr(subject.data, split).targets
        return torch.stack([targets[name].values for name in names]).to(subject.device)

    def _accuracies(
        self, subject: Subject, x_ND: Tensor, labels_MN: Tensor, new_ND: Tensor, truth_MN: Tensor, epochs: int
    ) -> Tensor:
        """The accuracy (E, M) on new data after each epoch of training."""
        M, D = len(labels_MN), x_ND.shape[1]
        counts_M = labels_MN.amax(1) + 1
        network = ParallelMLP(M, (D, D, int(counts_M.max())), subject.generator)
        absent_M1C = torch.arange(int(counts_M.max()), device=x_ND.device) >= counts_M[:, None, None]

        def loss(logits_MBC: Tensor, index_B: Tensor) -> Tensor:
            return cross_entropies(logits_MBC.masked_fill(absent_M1C, -torch.inf), labels_MN[:, index_B])

        training = train_epochs(
            network,
            x_ND,
            loss,
            epochs=epochs,
            batch=self.params.batch,
            lr=self.params.lr,
            generator=subject.generator,
        )
        scores = [accuracies(network(new_ND).masked_fill(absent_M1C, -torch.inf), truth_MN) for _ in training]
        return torch.stack(scores)


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return MlpProbe
