"""The comparisons of `evaluators.py`: scikit-learn's, or autograd's, and ours on the same features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evaluation import CLASSES, EPOCHS, TEST, TRAIN, D, Features, train_by_autograd, train_written_out
from rows import Settings
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from simssl.blocks.probes import ProbeParams, train_probes
from simssl.blocks.statistics import fit_mixture
from simssl.plugin.registry import Registry


@dataclass(frozen=True)
class Comparison:
    """What is compared with whose. Each call returns a score, or None if there is none to compare."""

    what: str
    whose: str
    theirs: Callable[[], float | None]
    ours: Callable[[], float | None]


def comparisons(settings: Settings) -> tuple[Comparison, ...]:
    subject = Features(settings.device, *((600, 200) if settings.tiny else (TRAIN, TEST)))
    x = {split: subject.features(split).cpu().numpy() for split in ("train", "test")}
    y = {split: labels.numpy() for split, labels in subject.labels.items()}

    def accuracy(model: KNeighborsClassifier | MLPClassifier) -> float:
        return float(model.fit(x["train"], y["train"]).score(x["test"], y["test"]))

    knn_class = Registry().load("evaluator", "knn")
    knn = knn_class(knn_class.Params(k=15))
    params = ProbeParams(epochs=EPOCHS, select="test")
    mlp = MLPClassifier((D,), alpha=0, batch_size=64, learning_rate_init=3e-4, max_iter=EPOCHS)

    def our_probe() -> float:
        (probed,) = train_probes(subject, params, hidden=1)
        return float(probed.accuracy)

    return (
        Comparison(
            "kNN, k = 15",
            "scikit-learn, brute force",
            lambda: accuracy(KNeighborsClassifier(15, algorithm="brute", n_jobs=-1)),
            lambda: float(knn.run(subject).metrics["class/accuracy"].value),
        ),
        Comparison(f"MLP probe, {EPOCHS} epochs", "scikit-learn", lambda: accuracy(mlp), our_probe),
        Comparison(
            f"MLP probe, {EPOCHS} epochs of training",
            "autograd, fused Adam",
            lambda: train_by_autograd(subject),
            lambda: train_written_out(subject),
        ),
        mixtures(subject, 10),
        mixtures(subject, D),
    )


def mixtures(subject: Features, columns: int) -> Comparison:
    """Gaussian mixtures with full covariances, from four starts."""
    starts = 4
    train_ND = subject.features("train")[:, :columns].contiguous()
    rows = train_ND.cpu().double().numpy()

    def theirs() -> None:
        GaussianMixture(CLASSES, n_init=starts, random_state=0).fit(rows)

    def ours() -> None:
        fit_mixture(train_ND, CLASSES, starts, subject.generator)

    return Comparison(f"Gaussian mixture, {columns} columns, {starts} starts", "scikit-learn", theirs, ours)
