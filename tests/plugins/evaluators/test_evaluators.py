"""Evaluators on features whose score is known: an oracle, noise, permuted labels, and scikit-learn's reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from subjects import CLASSES, REGISTRY, Known, evaluator, labelled, noise, oracle, target
from torch import Tensor

from simssl.api import Data, Result, Split
from simssl.blocks.losses import Gaussian
from simssl.blocks.statistics import nearest_rows
from simssl.experiment.settings import Crop, ViewSettings
from simssl.training.views import Views


def accuracy(result: Result) -> float:
    return result.metrics["class/accuracy"].value


TRAINED = {"lr": 1e-2, "epochs": 60}
CLASSIFIERS = [
    ("knn", {}),
    ("knn", {"k": 3}),
    ("mlp_probe", TRAINED),
    ("linear_probe", TRAINED),
    ("attributes", TRAINED),
    ("attributes", {**TRAINED, "probe": "linear"}),
]


@pytest.mark.parametrize(("name", "params"), CLASSIFIERS)
def test_labels_as_representation_reach_the_best_score(name: str, params: dict[str, Any]) -> None:
    assert accuracy(evaluator(name, **params).run(oracle(labelled()))) == 1.0


@pytest.mark.parametrize(("name", "params"), CLASSIFIERS)
def test_noise_falls_to_chance(name: str, params: dict[str, Any]) -> None:
    subject = Known(noise(400, 1), noise(200, 2), labelled())
    assert accuracy(evaluator(name, **params).run(subject)) == pytest.approx(1 / CLASSES, abs=0.1)


@pytest.mark.parametrize("part", ["fit", "selected on"])
@pytest.mark.parametrize("name", ["knn", "mlp_probe", "linear_probe", "attributes"])
def test_a_target_without_labels_to_select_on_is_refused(name: str, part: str) -> None:
    """Nothing could be chosen, and what comes first would be taken in silence."""
    subject = Known(noise(400, 1), noise(200, 2), labelled())
    fit_N, held_out_N = subject.selection()
    rare = labelled(seed=5)
    rare[0][held_out_N if part == "selected on" else fit_N] = -1
    subject.set_targets(**{"class": target(labelled(), CLASSES), "rare": target(rare, CLASSES)})
    with pytest.raises(ValueError, match=r"no image of .* has a label of 'rare'; name other targets in 'targets'"):
        evaluator(name).check(subject.data)
    evaluator(name, targets=("class",)).check(subject.data)
    evaluator(name, select="test", **({"k": 1} if name == "knn" else {})).check(subject.data)


@pytest.mark.parametrize(("name", "params"), CLASSIFIERS)
def test_one_class_is_nothing_to_predict(name: str, params: dict[str, Any]) -> None:
    one = (torch.zeros(400, dtype=torch.long), torch.zeros(200, dtype=torch.long))
    subject = Known(noise(400, 1), noise(200, 2), labelled())
    subject.set_targets(**{"class": target(labelled(), CLASSES), "kind": target(one, 1)})
    assert {key.split("/")[0] for key in evaluator(name, **params).run(subject).metrics if "/" in key} == {"class"}
    with pytest.raises(ValueError, match="the data set has no target 'kind' of two or more classes; it has class"):
        evaluator(name, targets=("kind",), **params).check(subject.data)


@pytest.mark.parametrize(("name", "params"), CLASSIFIERS)
def test_permuted_labels_fall_to_chance(name: str, params: dict[str, Any]) -> None:
    labels = labelled()
    good = oracle(labels)
    permuted = labels[0][torch.randperm(400, generator=torch.Generator().manual_seed(9))]
    subject = Known(good.features("train"), good.features("test"), (permuted, labels[1]))
    assert accuracy(evaluator(name, **params).run(subject)) == pytest.approx(1 / CLASSES, abs=0.15)


@pytest.mark.parametrize("k", [1, 2, 5, 20])
def test_knn_is_scikit_learns(k: int) -> None:
    """On odd votes of two classes there are no ties; with ties ours goes to the nearest, so compare the rest."""
    train, test = noise(500, 1), noise(300, 2)
    labels = ((train[:, 0] > 0).long(), (test[:, 0] > 0).long())
    reference = KNeighborsClassifier(k, algorithm="brute").fit(train.double().numpy(), labels[0].numpy())
    votes = torch.from_numpy(reference.predict_proba(test.double().numpy()))
    untied = votes[:, 0] != votes[:, 1]
    knn = _knn_module()
    ours = knn.vote(labels[0][nearest_rows(test, train, k)], 2)
    assert torch.equal(ours[untied], votes.argmax(1)[untied])
    first = labels[0][nearest_rows(test, train, 1)[:, 0]]
    assert torch.equal(ours[~untied], first[~untied])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_mlp_probe_is_about_scikit_learns() -> None:
    """The same network, trained by the same Adam on the same features, from other initial weights."""
    train, test = noise(1500, 1), noise(800, 2)
    labels = tuple((x[:, 0] * x[:, 1] > 0).long() + 2 * (x[:, 2] > 0.5).long() for x in (train, test))
    trained = {"lr": 1e-2, "epochs": 40}
    reference = MLPClassifier((6,), alpha=0, batch_size=64, learning_rate_init=1e-2, max_iter=40, random_state=0)
    expected = reference.fit(train.numpy(), labels[0].numpy()).score(test.numpy(), labels[1].numpy())
    measured = accuracy(evaluator("mlp_probe", **trained).run(Known(train, test, (labels[0], labels[1]))))
    assert 0.6 < expected < 0.98, "nothing is compared at an end of the scale"
    assert measured == pytest.approx(expected, abs=0.06)


def _knn_module() -> Any:
    import importlib

    return importlib.import_module(REGISTRY.find("evaluator", "knn").module)


def test_knn_selects_on_held_out_images_and_scores_test_once() -> None:
    """Training labels are noisy, so a large k is best; the number is that k's accuracy on test, not test's best."""
    features = [noise(600, 1, 2), noise(300, 2, 2)]
    labels = [(f[:, 0] > 0).long() for f in features]
    flip = torch.rand(600, generator=torch.Generator().manual_seed(3)) < 0.3
    labels[0] = torch.where(flip, 1 - labels[0], labels[0])
    subject = Known(features[0], features[1], (labels[0], labels[1]))
    chosen = evaluator("knn").run(subject).metrics["class/accuracy"]
    k = chosen.protocol["selected"]["k"]
    assert k > 3
    assert chosen.value == accuracy(evaluator("knn", k=k).run(subject))
    on_test = evaluator("knn", select="test").run(subject)
    assert accuracy(on_test) >= chosen.value
    assert "TEST" in str(on_test.protocol["selection"])


def test_knn_searches_once_for_targets_that_the_same_images_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is what it is by itself."""
    searches: list[int] = []
    monkeypatch.setattr(
        _knn_module(), "nearest_rows", lambda *given: searches.append(len(given[1])) or nearest_rows(*given)
    )
    subject, some = Known(noise(400, 1), noise(200, 2), labelled()), labelled(seed=5)
    some[0][::3], some[1][::4] = -1, -1
    targets = {"class": labelled(), "other": labelled(seed=4), "some": some}
    subject.set_targets(**{name: target(labels, CLASSES) for name, labels in targets.items()})
    together = evaluator("knn").run(subject).metrics
    assert len(searches) == 4, "for all images and for some, on the held-out ones and on test"
    for name in targets:
        alone = evaluator("knn", targets=(name,)).run(subject).metrics[f"{name}/accuracy"]
        assert alone == together[f"{name}/accuracy"]


def test_unlabelled_images_do_not_count() -> None:
    labels = labelled()
    labels[0][:100], labels[1][:50] = -1, -1
    subject = oracle((labels[0].clamp(min=0), labels[1].clamp(min=0)))
    known = Known(subject.features("train"), subject.features("test"), labels)
    known._features["train"][:100] = noise(100, 8, 16)
    for name, params in CLASSIFIERS:
        assert accuracy(evaluator(name, **params).run(known)) == 1.0


def test_unknown_targets_are_refused_before_training(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    result = simssl("run", small(evaluators=[{"name": "knn", "targets": ["clas"]}]))
    assert result.exit_code == 2
    assert "evaluator 'knn': the data set has no target 'clas' of two or more classes; did you mean" in result.stderr
    assert not Path("runs").exists()


class Seeing(Known):
    """A subject with real images, whose representation is a function of the drawn view."""

    def __init__(self, represent: Callable[[Tensor, dict[str, Tensor]], Tensor]) -> None:
        images = torch.randint(0, 256, (300, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        labels = torch.arange(300) % CLASSES
        super().__init__(torch.zeros(200, 2), torch.zeros(100, 2), (labels[:200], labels[200:]))
        splits = (Split(images[:200], self.data.train.targets), Split(images[200:], self.data.test.targets))
        self.data = Data.of(*splits)
        self.views = Views(ViewSettings(crop=Crop(scale=(0.4, 1.0)), horizontal_flip=0.5), (1, 8, 8))
        self.represent = represent
        self.likelihood = Gaussian(0.1)

    def draw_views(self, images: Tensor, J: int) -> tuple[Tensor, dict[str, Tensor]]:
        x, draws = self.views.random_views(images, J, self.generator)
        self.drawn = self.views.style(draws)
        return x, {name: values.view(len(images), J) for name, values in self.drawn.items()}

    def encode(self, x: Tensor, layer: str = "representation") -> Tensor:
        return self.represent(x, self.drawn)


def _parameters(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(drawn.values()), dim=1)


def _squared(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """Knows the distance of the centre from the middle, and its sign: linear in nothing that is asked for."""
    signed = {name: (values - 0.5) for name, values in drawn.items()}
    return torch.stack([v.sign() * v.square() for v in signed.values()], dim=1)


def _shuffled(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    """The parameters of other views."""
    return _parameters(x, drawn)[torch.randperm(len(x), generator=torch.Generator().manual_seed(6))]


def _noise(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
    return noise(len(x), 5)


@pytest.mark.parametrize("probe", ["ridge", "mlp"])
def test_style_probe_with_an_oracle_and_with_noise(probe: str) -> None:
    perfect = evaluator("style_probe", probe=probe).run(Seeing(_parameters)).metrics
    assert set(perfect) == {
        "R2",
        *(f"{n}/R2" for n in ("crop_centre_x", "crop_centre_y", "crop_height", "crop_width", "horizontal_flip")),
    }
    assert all(metric.value > 0.98 for metric in perfect.values())
    assert perfect["R2"].value == pytest.approx(sum(m.value for n, m in perfect.items() if "/" in n) / 5)
    blind = evaluator("style_probe", probe=probe).run(Seeing(_noise)).metrics
    assert all(abs(metric.value) < 0.05 for metric in blind.values())
    of_other_views = evaluator("style_probe", probe=probe).run(Seeing(_shuffled)).metrics
    assert all(abs(metric.value) < 0.05 for metric in of_other_views.values())


def test_the_mlp_reads_what_ridge_cannot() -> None:
    linear, mlp = (evaluator("style_probe", probe=probe).run(Seeing(_squared)).metrics for probe in ("ridge", "mlp"))
    assert mlp["crop_centre_x/R2"].value > linear["crop_centre_x/R2"].value + 0.02
    assert mlp["crop_centre_x/R2"].value > 0.95


class Overfitting(Seeing):
    """Many columns of noise beside a weak signal: without a penalty the fit is worse on other views."""

    def __init__(self) -> None:
        def represent(x: Tensor, drawn: dict[str, Tensor]) -> Tensor:
            signal = drawn["crop_centre_x"][:, None]
            noisy = torch.randn(len(x), 60, generator=self.generator)
            return torch.cat([signal + 0.15 * noisy[:, :1], noisy[:, 1:]], dim=1)

        super().__init__(represent)


def test_style_penalty_is_chosen_on_held_out_views() -> None:
    """Neither on the views that are fitted (the smallest would win there), nor always the same."""
    few = evaluator("style_probe", views=1).run(Overfitting()).metrics["crop_centre_x/R2"]
    many = evaluator("style_probe", views=2).run(Seeing(_parameters)).metrics["crop_centre_x/R2"]
    assert few.protocol["selected"]["penalty"] >= 0.1
    assert many.protocol["selected"]["penalty"] < 0.01


def test_reconstruction_is_the_likelihoods_own(simssl: Callable[..., Any], small: Callable[..., Path]) -> None:
    """Against a plain sum over the test images of the run, decoded from its checkpoint."""
    import json

    from PIL import Image

    from simssl.experiment.config import load_experiments
    from simssl.store.folder import RunFolder
    from simssl.training.build import build_run, load_data
    from simssl.training.train import restore_trained

    file = small(evaluators=[{"name": "reconstruction", "pictures": 5}])
    assert simssl("run", file).exit_code == 0
    (run,) = Path("runs/small").iterdir()
    (experiment,) = load_experiments(file, REGISTRY)
    data = load_data(experiment.dataset, REGISTRY, Path(), lambda *_: None)
    built = build_run(experiment, REGISTRY, data, torch.device("cpu"))
    restore_trained(built, RunFolder(run))
    x = data.test.images.float() / 255
    with torch.no_grad():
        decoded = built.objective.decode(built.objective.posterior(x).mean).sigmoid()
    squared = (x - decoded).double().square()
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    nll = squared.sum() / 0.02 / len(x) + 32 * torch.log(torch.tensor(0.02 * torch.pi)).item()
    assert metrics["reconstruction/mse"]["value"] == pytest.approx(squared.mean().item(), rel=1e-4)
    mean = (data.train.images.double() / 255).mean(0)
    of_mean = (x - mean).square().mean().item()
    assert metrics["reconstruction/R2"]["value"] == pytest.approx(1 - squared.mean().item() / of_mean, rel=1e-4)
    assert metrics["reconstruction/nll"]["value"] == pytest.approx(nll.item(), rel=1e-3)
    assert metrics["reconstruction/nll"]["unit"] == "nats/image"
    picture = Image.open(run / "images" / "reconstruction" / "test.png")
    assert picture.size == (5 * 68 + 4, 2 * 68 + 4)


class Decoding(Seeing):
    """Its representation is a function of the image, which its decoder takes for the image itself."""

    def __init__(self, represent: Callable[[Tensor], Tensor]) -> None:
        super().__init__(_parameters)
        self._features = {split: represent(self.images(split, slice(None)).flatten(1)) for split in ("train", "test")}

    def images(self, split: str, index_B: Tensor | slice) -> Tensor:
        x_BCHW: Tensor = getattr(self.data, split).images[index_B].float() / 255
        return x_BCHW

    def decode(self, z_BD: Tensor) -> Tensor:
        return z_BD.clamp(1e-6, 1 - 1e-6).logit().view(-1, 1, 8, 8)


def test_reconstruction_with_an_oracle_noise_and_other_images() -> None:
    def r2(represent: Callable[[Tensor], Tensor]) -> float:
        return evaluator("reconstruction").run(Decoding(represent)).metrics["R2"].value

    mean_D = Decoding(lambda x_ND: x_ND).features("train").mean(0)
    assert r2(lambda x_ND: x_ND) == pytest.approx(1)
    assert r2(lambda x_ND: mean_D.expand(len(x_ND), -1)) == pytest.approx(0, abs=1e-6)
    assert r2(lambda x_ND: torch.rand(x_ND.shape, generator=torch.Generator().manual_seed(3))) < -0.9
    assert r2(lambda x_ND: x_ND.roll(1, dims=0)) < -0.9
