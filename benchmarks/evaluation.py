"""How long kNN, the MLP probe and a Gaussian mixture take, as a ratio to scikit-learn's on the same features.

60,000 training features and 10,000 of test in 64 dimensions, of ten classes; the probes at the paper's protocol
(D-D-C, batches of 64) for five epochs; the mixture from four starts. Medians of three, interleaved, after one warm-up.
Run it with: python benchmarks/evaluation.py
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import machine
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from simssl.api import Data, Split, Target
from simssl.blocks.probes.class_probes import ProbeParams, probe
from simssl.blocks.probes.splits import selection_split
from simssl.blocks.statistics.mixture import fit_mixture
from simssl.plugin.registry import Registry
from simssl.training.build import choose_device

ROUNDS, TRAIN, TEST, D, CLASSES, EPOCHS, STARTS = 3, 60_000, 10_000, 64, 10, 5, 4


class Features:
    """What an evaluator needs of a subject: class means and noise."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.generator = device, torch.Generator(device).manual_seed(0)
        draw = torch.Generator().manual_seed(0)
        means_CD = torch.randn(CLASSES, D, generator=draw)
        self.labels = {
            s: torch.randint(0, CLASSES, (n,), generator=draw) for s, n in (("train", TRAIN), ("test", TEST))
        }
        self._features = {s: means_CD[y] + 2 * torch.randn(len(y), D, generator=draw) for s, y in self.labels.items()}
        names = tuple(map(str, range(CLASSES)))
        splits = [
            Split(torch.zeros(len(y), 1, 1, 1, dtype=torch.uint8), {"class": Target(y, names)})
            for y in self.labels.values()
        ]
        self.data = Data.of(*splits)

    def features(self, split: str, layer: str = "representation") -> torch.Tensor:
        return self._features[split].to(self.device)

    def selection(self) -> tuple[torch.Tensor, torch.Tensor]:
        return selection_split(self.data)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(what: str, theirs: Callable[[], object], ours: Callable[[], object]) -> None:
    ways = {"scikit-learn": theirs, "simssl": ours}
    for call in ways.values():
        call()
    rounds = [{name: seconds(call) for name, call in ways.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in ways}
    for name, median in medians.items():
        print(f"{what}, {name:12} {median:7.2f} s   ratio {medians['scikit-learn'] / median:.2f}", flush=True)


def main() -> None:
    device = choose_device("auto")
    print(f"{machine.about('scikit-learn')}; medians of {ROUNDS}")
    subject = Features(device)
    x = {split: subject.features(split).cpu().numpy() for split in ("train", "test")}
    y = {split: labels.numpy() for split, labels in subject.labels.items()}

    def scikit_learn(model: KNeighborsClassifier | MLPClassifier) -> Callable[[], object]:
        return lambda: model.fit(x["train"], y["train"]).score(x["test"], y["test"])

    knn_class = Registry().load("evaluator", "knn")
    knn = knn_class(knn_class.Params(k=15))
    brute = KNeighborsClassifier(15, algorithm="brute", n_jobs=-1)
    compare("kNN, k = 15, brute force", scikit_learn(brute), lambda: knn.run(subject))

    warnings.simplefilter("ignore", ConvergenceWarning)
    mlp = MLPClassifier((D,), alpha=0, batch_size=64, learning_rate_init=3e-4, max_iter=EPOCHS)
    params = ProbeParams(epochs=EPOCHS, select="test")
    compare(f"MLP probe, {EPOCHS} epochs", scikit_learn(mlp), lambda: probe(subject, params, hidden=1))

    mixture = GaussianMixture(CLASSES, n_init=STARTS, random_state=0)
    train_ND = subject.features("train")
    compare(
        f"Gaussian mixture, {STARTS} starts",
        lambda: mixture.fit(x["train"].astype("float64")),
        lambda: fit_mixture(train_ND, CLASSES, STARTS, subject.generator),
    )


if __name__ == "__main__":
    main()
