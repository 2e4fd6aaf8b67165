"""GMM: clusters of a Gaussian mixture, fitted without labels, against the classes. C counts the classes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Subject
from simssl.blocks.probes import LayerName, TargetNames, class_targets, labelled_targets
from simssl.blocks.statistics import Mixture, fit_mixture

SCORES = ("accuracy", "nmi", "ari")


class Gmm(Evaluator):
    """Clusters of a Gaussian mixture against the classes of the test split: accuracy, NMI and ARI.

    The mixture has full covariances and as many components as the target has classes; it is fitted to one layer of
    the training split, as it is and without labels, and gives each test image its likeliest component. Accuracy is
    that of the best assignment of components to classes, one to one, on the test split (Hungarian method), as usual
    for clusterings; chance is therefore above 1/C. NMI is the mutual information over the mean of both entropies; ARI
    the adjusted Rand index, 0 by chance. A target of which one class alone occurs in test is skipped: of one class
    any clustering says all.
    """

    class Params(simssl.Params):
        targets: TargetNames | None = None
        "Targets of the data set whose classes are looked for; all that have classes if empty."
        starts: int = Field(20, ge=1)
        "Starts of EM, each from a k-means clustering; the likeliest mixture is taken. Source: the paper, 20."
        layer: LayerName = "representation"

    needs = frozenset({"labels", "test"})

    def check(self, data: Data) -> None:
        for name in labelled_targets(data, self.params.targets):
            target = data.train.targets[name]
            classes = len(target.classes or ())
            images = len(data.train)
            if images < classes:
                raise ValueError(f"'{name}' has {classes} classes, too many components for {images} training images")

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(
            representation=lambda x_BCHW: F.adaptive_avg_pool2d(x_BCHW, 2).flatten(1),  # the quadrants
            values={"corner/accuracy": (1.0, 1.0), "corner/nmi": (0.999, 1.001), "corner/ari": (0.999, 1.001)},
            noise={"corner/accuracy": (0.25, 0.55), "corner/nmi": (0.0, 0.25), "corner/ari": (-0.1, 0.15)},
            params={"starts": 3},
        )

    def run(self, subject: Subject) -> Result:
        assert subject.data.test is not None
        targets = subject.data.test.targets
        train_ND = subject.features("train", self.params.layer)
        test_ND = subject.features("test", self.params.layer)
        names = class_targets(targets, self.params.targets)
        classes = {name: len(targets[name].classes or ()) for name in names}
        mixtures = {}
        components = {}
        for C in dict.fromkeys(classes.values()):
            mixtures[C] = fit_mixture(train_ND, C, self.params.starts, subject.generator)
            components[C] = mixtures[C].predict(test_ND).cpu().numpy()
        metrics: dict[str, Metric] = {}
        skipped: dict[str, str] = {}
        for name, C in classes.items():
            label_N = targets[name].values
            if _occurring(label_N) < 2:
                reason = f"the test split has images of one class of '{name}' alone"
                skipped |= {f"{name}/{score}": reason for score in SCORES}
            else:
                metrics |= _metrics(name, mixtures[C], _scores(components[C], label_N.numpy(), C))
        return Result(metrics, protocol=self._protocol(), skipped=skipped)

    def _protocol(self) -> dict[str, str]:
        return {
            "split": "test",
            "layer": self.params.layer,
            "features": f"{self.params.layer}, as it is",
            "model": "Gaussian mixture, full covariances, a component for each class of the target",
            "fitted on": f"train, without labels; the likeliest of {self.params.starts} starts from k-means",
            "assignment": "one, of components to classes, that is best on the labels of test (Hungarian method)",
            "selected_on": "nothing",
        }


def _occurring(label_N: Tensor) -> int:
    """The number of classes that occur; -1 is no label."""
    return len(label_N[label_N >= 0].unique())


def _metrics(name: str, mixture: Mixture, scores: Mapping[str, float]) -> dict[str, Metric]:
    protocol = {"found": {"iterations": mixture.iterations, "converged": mixture.converged}}
    return {f"{name}/{score}": Metric(value, "fraction", "higher", protocol) for score, value in scores.items()}


def _scores(component_N: np.ndarray, label_N: np.ndarray, classes: int) -> dict[str, float]:
    """Accuracy after the assignment, NMI and ARI, of the images that have a label."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

    known_N = label_N >= 0
    component_N = component_N[known_N]
    label_N = label_N[known_N]
    counts_CC = confusion_matrix(label_N, component_N, labels=np.arange(classes))
    assignment = linear_sum_assignment(counts_CC, maximize=True)
    right = counts_CC[assignment].sum()
    return {
        "accuracy": float(right / len(label_N)),
        "nmi": float(normalized_mutual_info_score(label_N, component_N)),
        "ari": float(adjusted_rand_score(label_N, component_N)),
    }


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Gmm
