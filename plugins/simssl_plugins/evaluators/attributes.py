"""Attributes: scores of many targets, content and style, whose classes may be uneven, from a representation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal

from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Subject, Target
from simssl.blocks.probes import ProbedTarget, ProbeParams, by_role, check_probe, probe_protocol, train_probes

HIDDEN = {"linear": 0, "mlp": 1}
"""Layers of D units."""

SCORES = {
    "accuracy": "share of the labelled test images that are right",
    "balanced_accuracy": "mean of the recalls of the classes that occur in test",
    "auroc": "area under the ROC curve of the second of two classes; of more, the mean of each against the rest, over "
    "those that occur in test",
}


Scores = Mapping[str, Mapping[str, float]]
"""The scores of each target, by their names."""


class Attributes(Evaluator):
    """Accuracy, balanced accuracy and AUROC on the test split of a probe for each target, and their means.

    The probes are trained as one batched network, as `mlp_probe`'s. The means are over all targets, and where there
    are both, over the content and over the style targets (`content_accuracy`, `style_accuracy` and so on). A class
    that does not occur in test counts in neither balanced accuracy nor AUROC; a target of which one class alone
    occurs has no AUROC.
    """

    class Params(ProbeParams, simssl.Params):
        probe: Literal["linear", "mlp"] = "mlp"
        "An MLP D-D-C, or one layer D-C."

    needs = frozenset({"labels", "test"})

    def check(self, data: Data) -> None:
        check_probe(self.params, data)

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: x_BCHW.flatten(1),
            values={"accuracy": (1.0, 1.0), "balanced_accuracy": (1.0, 1.0), "auroc": (1.0, 1.0)},
            noise={"accuracy": (0.05, 0.55), "balanced_accuracy": (0.05, 0.55), "auroc": (0.3, 0.75)},
            params={"lr": 1e-2, "epochs": 60, "select": "test"},
        )

    def run(self, subject: Subject) -> Result:
        targets = subject.data.train.targets
        scores: dict[str, dict[str, float]] = {}
        held_out: dict[str, float] = {}
        undertrained = set()
        metrics = {}
        for probed in train_probes(subject, self.params, HIDDEN[self.params.probe]):
            scores[probed.target] = _scores(probed)
            if probed.undertrained:
                undertrained.add(probed.target)
            if probed.held_out is not None:
                held_out[probed.target] = probed.held_out
            target_protocol = _protocol(probed, targets[probed.target])
            for score, value in scores[probed.target].items():
                there = probed.held_out if score == "accuracy" else None
                metrics[f"{probed.target}/{score}"] = _metric(score, value, target_protocol, there)
        layers = "MLP D-D-C" if self.params.probe == "mlp" else "linear"
        protocol = probe_protocol(self.params, subject.data) | {"probe": layers}
        means = _means(scores, targets, undertrained)
        for role, accuracy in _mean_held_out(held_out, targets).items():
            means[role] = replace(means[role], held_out=accuracy)
        return Result({**means, **metrics}, protocol=protocol)


def _metric(score: str, value: float, protocol: Mapping[str, object], held_out: float | None = None) -> Metric:
    return Metric(value, "fraction", "higher", {"score": SCORES[score], **protocol}, held_out)


def _protocol(probed: ProbedTarget, target: Target) -> dict[str, object]:
    protocol: dict[str, object] = {"role": target.role, **probed.protocol}
    absent = []
    for number, name in enumerate(target.classes or ()):
        occurs = bool((probed.labels_N == number).any())
        if not occurs:
            absent.append(name)
    if absent:
        protocol["absent from test"] = absent
    return protocol


def _scores(probed: ProbedTarget) -> dict[str, float]:
    """The scores of `SCORES` that exist, by name."""
    from sklearn.metrics import recall_score, roc_auc_score

    logits_NC = probed.logits_NC.double().cpu()
    labels_N = probed.labels_N.cpu()
    N, C = logits_NC.shape
    balanced = recall_score(labels_N, logits_NC.argmax(1), labels=labels_N.unique(), average="macro")
    scores = {"accuracy": probed.accuracy, "balanced_accuracy": float(balanced)}
    aurocs = []
    for c in [1] if C == 2 else range(C):
        is_class_N = labels_N == c
        if 0 < is_class_N.sum() < N:
            aurocs.append(roc_auc_score(is_class_N, _log_odds(logits_NC, c)))
    if aurocs:
        scores["auroc"] = fmean(aurocs)
    return scores


def _log_odds(logits_NC: Tensor, c: int) -> Tensor:
    """The log odds (N,) of a class against the rest.

    A probability would be rounded to 0 or 1, and so lose its rank.
    """
    others = [other for other in range(logits_NC.shape[1]) if other != c]
    return logits_NC[:, c] - logits_NC[:, others].logsumexp(1)


def _means(scores: Scores, targets: Mapping[str, Target], undertrained: set[str]) -> dict[str, Metric]:
    """The mean of each score over all targets, and where there are both, over the content and the style targets."""
    means: dict[str, Metric] = {}
    for role, names in by_role(list(scores), targets).items():
        means |= _means_over(names, scores, undertrained, role)
    return means


def _mean_held_out(held_out: Mapping[str, float], targets: Mapping[str, Target]) -> dict[str, float]:
    """The means of the accuracies on the held-out images, by the name of the mean; none if none was measured."""
    if not held_out:
        return {}
    means = {}
    for role, names in by_role(list(held_out), targets).items():
        accuracies = [held_out[name] for name in names]
        means[f"{role}_accuracy" if role else "accuracy"] = fmean(accuracies)
    return means


def _means_over(names: Sequence[str], scores: Scores, undertrained: set[str], role: str) -> dict[str, Metric]:
    means = {}
    for score in SCORES:
        over = [name for name in names if score in scores[name]]
        if not over:
            continue
        mean = fmean(scores[name][score] for name in over)
        protocol: dict[str, object] = {"mean over": over}
        if undertrained & set(over):
            protocol["found"] = {"undertrained": True}
        if role:
            means[f"{role}_{score}"] = _metric(score, mean, {**protocol, "role": role})
        else:
            means[score] = _metric(score, mean, protocol)
    return means


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Attributes
