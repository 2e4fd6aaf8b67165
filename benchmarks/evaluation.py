"""How long kNN and the MLP probe take, as a ratio to scikit-learn's on the same features.

60,000 training features and 10,000 of test in 64 dimensions, of ten classes; kNN: medians of three, interleaved, after
one warm-up; the probes at the paper's protocol (D-D-C, batches of 64) for five epochs, once each. Run it with:
python benchmarks/evaluation.py
"""

from __future__ import annotations

import platform
import statistics
import time
import warnings
from collections.abc import Callable

import sklearn
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from simssl.api import Data, Split, Target
from simssl.blocks.class_probes import ProbeParams, probe
from simssl.blocks.splits import selection
from simssl.registry import Registry

ROUNDS, TRAIN, TEST, D, CLASSES, EPOCHS = 3, 60_000, 10_000, 64, 10, 5


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
        return selection(self.data)


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def show(name: str, median: float, reference: float) -> None:
    print(f"{name:40} {median:7.2f} s   ratio {reference / median:.2f}")


def main() -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    print(
        f"torch {torch.__version__}, scikit-learn {sklearn.__version__} on {platform.system()} {platform.machine()}, "
        f"{device}, {torch.get_num_threads()} threads"
    )
    subject = Features(device)
    x = {split: subject.features(split).cpu().numpy() for split in ("train", "test")}
    y = {split: labels.numpy() for split, labels in subject.labels.items()}
    knn_class = Registry().load("evaluator", "knn")
    knn = knn_class(knn_class.Params(k=15))
    ways = {
        "kNN, k = 15, scikit-learn, brute force": lambda: (
            KNeighborsClassifier(15, algorithm="brute", n_jobs=-1)
            .fit(x["train"], y["train"])
            .score(x["test"], y["test"])
        ),
        "kNN, k = 15, simssl": lambda: knn.run(subject),
    }
    for call in ways.values():
        call()
    rounds = [{name: seconds(call) for name, call in ways.items()} for _ in range(ROUNDS)]
    medians = {name: statistics.median(times[name] for times in rounds) for name in ways}
    for name, median in medians.items():
        show(name, median, next(iter(medians.values())))

    warnings.simplefilter("ignore", ConvergenceWarning)
    reference = MLPClassifier((D,), alpha=0, batch_size=64, learning_rate_init=3e-4, max_iter=EPOCHS)
    params = ProbeParams(epochs=EPOCHS, select="test")
    theirs = seconds(lambda: reference.fit(x["train"], y["train"]).score(x["test"], y["test"]))
    show(f"MLP probe, {EPOCHS} epochs, scikit-learn", theirs, theirs)
    show(f"MLP probe, {EPOCHS} epochs, simssl", seconds(lambda: probe(subject, params, hidden=1)), theirs)


if __name__ == "__main__":
    main()
