"""GMM: how well the clusters of a Gaussian mixture, fitted without labels, are the classes."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

import simssl
from simssl.api import Data, Evaluator, Metric, Oracle, Result, Subject
from simssl.blocks.targets import class_targets, labelled_targets

REGULARISATION = 1e-6
"""Added to the diagonal of the covariances, in units of the mean variance of the features. scikit-learn's number."""


class Gmm(Evaluator):
    """Clusters of a Gaussian mixture against the classes of the test split: accuracy, NMI and ARI.

    The mixture has full covariances and as many components as the target has classes; it is fitted to one layer of
    the training split, as it is and without labels, and gives each test image its likeliest component. Accuracy is
    that of the best assignment of components to classes, one to one, on the test split (Hungarian method), as usual
    for clusterings; chance is therefore above 1/C. NMI is the mutual information over the mean of both entropies; ARI
    the adjusted Rand index, 0 by chance.
    """

    class Params(simssl.Params):
        targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
        "Targets of the data set whose classes are looked for; all that have classes if empty."
        starts: int = Field(20, ge=1)
        "Starts of EM, each from a k-means clustering; the likeliest mixture is taken. Source: the paper, 20."
        layer: str = "representation"
        "What is measured: the representation, or another layer that the method offers, such as projection."

    needs = frozenset({"labels", "test"})

    def check(self, data: Data) -> None:
        for name in labelled_targets(data, self.params.targets):
            classes, images = len(data.train.targets[name].classes or ()), len(data.train)
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
        names = class_targets(targets, self.params.targets)
        train_ND, test_ND = (self._features(subject, split) for split in ("train", "test"))
        classes = {name: len(targets[name].classes or ()) for name in names}
        mixtures = {C: self._mixture(train_ND, C, subject.generator) for C in dict.fromkeys(classes.values())}
        components = {C: mixture.predict(test_ND) for C, mixture in mixtures.items()}
        metrics = {}
        for name, C in classes.items():
            found = {"iterations": int(mixtures[C].n_iter_), "converged": bool(mixtures[C].converged_)}
            for score, value in _scores(components[C], targets[name].values.numpy(), C).items():
                metrics[f"{name}/{score}"] = Metric(value, "fraction", "higher", {"found": found})
        return Result(metrics, protocol=self._protocol())

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

    def _features(self, subject: Subject, split: str) -> np.ndarray:
        features_ND: np.ndarray = subject.features(split, self.params.layer).double().cpu().numpy()
        return features_ND

    def _mixture(self, x_ND: np.ndarray, components: int, generator: torch.Generator) -> Any:
        """The likeliest of all starts. Constant features have a mixture too, of one component that takes them all."""
        from joblib import Parallel, delayed
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture
        from threadpoolctl import threadpool_limits

        seeds = torch.randint(2**31, (self.params.starts,), generator=generator, device=generator.device).tolist()
        regularisation = REGULARISATION * (x_ND.var(0).mean() or 1)
        starts = [
            GaussianMixture(components, covariance_type="full", reg_covar=regularisation, random_state=seed)
            for seed in seeds
        ]
        # outside of the threads, which would undo each other's
        with warnings.catch_warnings(), threadpool_limits(1, "blas"):
            warnings.simplefilter("ignore", ConvergenceWarning)  # the protocol says whether it did
            fits = Parallel(torch.get_num_threads(), prefer="threads")(delayed(_fit)(start, x_ND) for start in starts)
        return max(fits, key=lambda mixture: mixture.lower_bound_)


def _fit(mixture: Any, x_ND: np.ndarray) -> Any:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "openmp"):
        return mixture.fit(x_ND)


def _scores(component_N: np.ndarray, label_N: np.ndarray, classes: int) -> dict[str, float]:
    """Accuracy after the assignment, NMI and ARI, of the images that have a label."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

    component_N, label_N = component_N[label_N >= 0], label_N[label_N >= 0]
    counts_CC = confusion_matrix(label_N, component_N, labels=np.arange(classes))
    right = counts_CC[linear_sum_assignment(counts_CC, maximize=True)].sum()
    return {
        "accuracy": float(right / len(label_N)),
        "nmi": float(normalized_mutual_info_score(label_N, component_N)),
        "ari": float(adjusted_rand_score(label_N, component_N)),
    }


@simssl.hookimpl
def simssl_evaluator() -> type[Evaluator]:
    return Gmm
