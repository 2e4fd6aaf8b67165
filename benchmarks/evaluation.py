"""The time that kNN, the MLP probe and Gaussian mixtures take, as a ratio to scikit-learn's on the same features.

60,000 training features and 10,000 of test in 64 dimensions, of ten classes; the probes at the paper's protocol
(D-D-C, batches of 64) for five epochs, beside scikit-learn's and beside autograd with torch's fused Adam; the mixture
from four starts, and in the paper's size, 10 columns and 20 starts. Medians of three, interleaved, after one warm-up.
Run it with: python benchmarks/evaluation.py
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import machine
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from simssl.api import Data, Split, Target
from simssl.blocks.probes import (
    ParallelClassifiers,
    ParallelMLP,
    ProbeParams,
    selection_split,
    train_classifiers,
    train_epochs,
    train_probes,
)
from simssl.blocks.statistics import fit_mixture
from simssl.plugin.registry import Registry
from simssl.training.machine.device import choose_device

ROUNDS = 3
TRAIN = 60_000
TEST = 10_000
D = 64
CLASSES = 10
EPOCHS = 5


class Features:
    """A subject as evaluators need it: its features are class means and noise."""

    def __init__(self, device: torch.device, train: int = TRAIN, test: int = TEST) -> None:
        self.device = device
        self.generator = torch.Generator(device).manual_seed(0)
        draw = torch.Generator().manual_seed(0)
        means_CD = torch.randn(CLASSES, D, generator=draw)
        self.labels = {}
        for split, images in (("train", train), ("test", test)):
            self.labels[split] = torch.randint(0, CLASSES, (images,), generator=draw)
        self._features = {}
        for split, labels_N in self.labels.items():
            noise_ND = torch.randn(len(labels_N), D, generator=draw)
            self._features[split] = means_CD[labels_N] + 2 * noise_ND
        self.data = Data.of(_split(self.labels["train"]), _split(self.labels["test"]))

    def features(self, split: str, layer: str = "representation") -> torch.Tensor:
        return self._features[split].to(self.device)

    def selection(self) -> tuple[torch.Tensor, torch.Tensor]:
        return selection_split(self.data)


def _split(labels_N: torch.Tensor) -> Split:
    images = torch.zeros(len(labels_N), 1, 1, 1, dtype=torch.uint8)
    names = tuple(str(number) for number in range(CLASSES))
    return Split(images, {"class": Target(labels_N, names)})


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(
    what: str, theirs: Callable[[], object], ours: Callable[[], object], reference_name: str = "scikit-learn"
) -> None:
    ways = {reference_name: theirs, "simssl": ours}
    for call in ways.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, call in ways.items():
            times[name].append(seconds(call))
    reference = statistics.median(times[reference_name])
    for name in ways:
        median = statistics.median(times[name])
        print(f"{what}, {name:12} {median:7.2f} s   ratio {reference / median:.2f}", flush=True)


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
    compare(f"MLP probe, {EPOCHS} epochs", scikit_learn(mlp), lambda: train_probes(subject, params, hidden=1))

    compare(
        f"MLP probe, {EPOCHS} epochs of training",
        lambda: train_by_autograd(subject),
        lambda: train_written_out(subject),
        "autograd",
    )
    compare_mixtures(subject, D, starts=4)
    compare_mixtures(subject, 10, starts=20)


def train_by_autograd(subject: Features) -> None:
    train_ND = subject.features("train")
    labels_N = subject.labels["train"].to(subject.device)
    network = ParallelMLP(1, (D, D, CLASSES), subject.generator)

    def loss(logits_1BC: torch.Tensor, index_B: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits_1BC[0], labels_N[index_B])

    for _ in train_epochs(network, train_ND, loss, epochs=EPOCHS, batch=64, lr=3e-4, generator=subject.generator):
        pass


def train_written_out(subject: Features) -> None:
    train_ND = subject.features("train")
    labels_1N = subject.labels["train"].to(subject.device)[None]
    network = ParallelClassifiers(D, (D,), (CLASSES,), subject.generator)
    for _ in train_classifiers(
        network, train_ND, labels_1N, epochs=EPOCHS, batch=64, lr=3e-4, generator=subject.generator
    ):
        pass


def compare_mixtures(subject: Features, columns: int, starts: int) -> None:
    train_ND = subject.features("train")[:, :columns].contiguous()
    rows = train_ND.cpu().double().numpy()
    mixture = GaussianMixture(CLASSES, n_init=starts, random_state=0)
    compare(
        f"Gaussian mixture, {columns} columns, {starts} starts",
        lambda: mixture.fit(rows),
        lambda: fit_mixture(train_ND, CLASSES, starts, subject.generator),
    )


if __name__ == "__main__":
    main()
