"""retrieval, zero_shot and cross_generation: on runs of digits with captions, against loops, and on permuted labels."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from simssl.api import Data, Modality, Target
from simssl.cli import cli
from simssl.experiment.yaml12 import dump
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.testing.checks.evaluators import _evaluate
from simssl.testing.fixtures import tiny_data
from simssl.testing.oracle import oracle_method, oracle_run

REGISTRY = Registry(builtins_only=True)
DIGITS = Path(__file__).parents[2] / "support" / "captioned_digits.py"
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
RANDOM = {"name": "random"}
EXPERIMENT: dict[str, Any] = {
    "name": "captions",
    "dataset": {"name": "captioned_digits"},
    "views": {"crop": {"scale": [0.6, 1.0]}},
    "backbone": {"name": "mlp", "hidden": [128, 128]},
    "modalities": {"caption": {"backbone": {"name": "text_transformer", "width": 32, "layers": 1}}},
    "latent_dim": 16,
    "training": {"views": 16_000, "batch_views": 128, "optimizer": {"name": "adam", "lr": 3e-3}},
    "evaluators": [
        {"name": "retrieval"},
        {"name": "zero_shot", "prompts": ["a digit {}", "a bold digit {}"], "names": NAMES},
        {"name": "cross_generation"},
    ],
    "trackers": [],
    "grid": {
        "objective": [{"name": "clip"}, {"name": "simvae", "J": 2, "modalities": ["caption"]}, {"name": "random"}]
    },
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The metrics of CLIP, SimVAE and an untrained network on digits with captions, by the objective."""
    folder = tmp_path_factory.mktemp("captions")
    (folder / "captions.yaml").write_text(dump(EXPERIMENT))
    words = ["run", str(folder / "captions.yaml"), "--plugin", str(DIGITS), "--runs", str(folder), "--device", "cpu"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.stderr
    metrics = {}
    for file in (folder / "captions").glob("*/metrics.json"):
        record = json.loads(file.read_text())
        record["images"] = file.parent / "images"
        metrics[record["objective"]] = record
    return metrics


def recalls(record: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Recall at 1 and its chance, both ways."""
    found = {}
    for way in ("image_to_caption", "caption_to_image"):
        entry = record["metrics"][f"retrieval/{way}/recall_1"]
        found[way] = entry["value"], entry["protocol"]["chance"]
    return found


def test_clip_finds_captions_ten_times_as_often_as_chance(runs: dict[str, Any]) -> None:
    for recall, chance in recalls(runs["clip"]).values():
        assert chance < 0.05
        assert recall >= 10 * chance


def test_clip_knows_the_digit_of_a_prompt(runs: dict[str, Any]) -> None:
    assert runs["clip"]["metrics"]["zero_shot/class/accuracy"]["value"] >= 0.8


def test_simvae_generates_the_digit_of_a_caption(runs: dict[str, Any]) -> None:
    entry = runs["simvae"]["metrics"]["cross_generation/class/accuracy"]
    assert entry["value"] >= 0.8
    assert entry["protocol"]["found"]["accuracy on the real test images"] > 0.95
    picture = Image.open(runs["simvae"]["images"] / "cross_generation" / "images_of_caption.png")
    assert picture.mode == "L"
    assert picture.width > 500


def test_what_does_not_apply_is_skipped_with_its_reason(runs: dict[str, Any]) -> None:
    assert runs["clip"]["metrics"]["cross_generation"]["skipped"] == "clip has no decoder"
    assert runs["random"]["metrics"]["retrieval"]["skipped"] == "random learns from no modality"
    assert runs["random"]["metrics"]["zero_shot"]["skipped"] == "random learns from no modality"


def test_methods_stand_in_one_column(runs: dict[str, Any]) -> None:
    """The layer that a method compares is found, and makes no column; the terminal shows the mean of both ways."""
    for key in ("retrieval/recall_1", "retrieval/image_to_caption/recall_5", "zero_shot/class/accuracy"):
        protocols = []
        for name in ("clip", "simvae"):
            protocol = dict(runs[name]["metrics"][key]["protocol"])
            assert protocol.pop("found") == {"layer of the images": {"clip": "projection"}.get(name, "representation")}
            protocols.append(protocol)
        assert protocols[0] == protocols[1]
    both = [recall for recall, _ in recalls(runs["clip"]).values()]
    assert runs["clip"]["metrics"]["retrieval/recall_1"]["value"] == pytest.approx(sum(both) / 2)


# --- what is known before training ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        ({"prompts": ["a photo of a {}"]}, "the word 'photo' of the text 'a photo of a 0' is not in the vocabulary"),
        ({"prompts": ["a digit {}"]}, "the word '0' of the text 'a digit 0' is not in the vocabulary"),
        ({"prompts": ["a a a a a {}"], "names": NAMES}, "has 6 words, more than 5"),
        ({"prompts": ["a digit {}"], "names": ["one"]}, "'names' has 1 words, and the target 'class' 10 classes"),
        ({"prompts": ["{}"], "target": "clas"}, "did you mean 'class'?"),
        ({"prompts": ["{}"], "modality": "attributes"}, "'attributes' is a vector, and prompts are texts"),
        ({"prompts": ["a digit"]}, "the prompt 'a digit' has no {} for the class"),
        ({"prompts": []}, "'prompts' must be a list with at least 1 of them"),
    ],
)
def test_prompts_that_do_not_fit_are_refused_before_training(
    evaluator: dict[str, Any], message: str, simssl: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(dump({**EXPERIMENT, "evaluators": [{"name": "zero_shot", **evaluator}]}))
    result = simssl("run", file, "--plugin", DIGITS, "-s", "training.views=10_000_000")
    assert result.exit_code == 2
    assert message in result.stderr
    assert not list(tmp_path.glob("runs/*/*/checkpoint.pt"))


# --- against loops ---------------------------------------------------------------------------------------


def test_ranks_are_those_of_loops() -> None:
    from simssl_plugins.evaluators.retrieval import ranks_of_images, ranks_of_texts

    generator = torch.Generator().manual_seed(0)
    image_NP = torch.randint(-1, 2, (40, 3), generator=generator).float()
    text_UP = torch.randint(-1, 2, (9, 3), generator=generator).float()
    text_N = torch.randint(0, 9, (40,), generator=generator)
    to_texts = ranks_of_texts(image_NP, text_UP, text_N)
    to_images = ranks_of_images(image_NP, text_UP, text_N)
    for n in range(40):
        own = image_NP[n] @ text_UP[text_N[n]]
        before = [u for u in range(9) if u != text_N[n] and image_NP[n] @ text_UP[u] >= own]
        assert to_texts[n] == len(before)
    for u in text_N.unique():
        nearest = max(image_NP[n] @ text_UP[u] for n in range(40) if text_N[n] == u)
        before = [n for n in range(40) if text_N[n] != u and image_NP[n] @ text_UP[u] >= nearest]
        assert to_images[u] == len(before)


def test_what_is_all_the_same_finds_nothing() -> None:
    """Ties count as wrong."""
    from simssl_plugins.evaluators.retrieval import ranks_of_images, ranks_of_texts

    same_NP, text_N = torch.ones(6, 2), torch.tensor([0, 0, 0, 1, 1, 2])
    assert ranks_of_texts(same_NP, same_NP[:3], text_N).tolist() == [2] * 6
    assert ranks_of_images(same_NP, same_NP[:3], text_N).tolist() == [3, 4, 5]


@pytest.mark.parametrize("k", [1, 2, 5, 10])
def test_the_chance_is_that_of_all_draws(k: int) -> None:
    from simssl_plugins.evaluators.retrieval import chance_of_images

    text_of = [0, 0, 0, 1, 1, 2]
    hits, total = 0, 0
    for own in text_of:
        for drawn in itertools.combinations(range(6), min(k, 6)):
            hits += any(text_of[n] == own for n in drawn)
            total += 1
    assert chance_of_images([3, 2, 1], k) == pytest.approx(hits / total)


# --- permuted labels -------------------------------------------------------------------------------------


def permuted(data: Data) -> Data:
    """The data with captions and classes of other images of the test split."""
    assert data.test is not None
    order = list(range(len(data.test)))
    random.Random(0).shuffle(order)
    caption = data.test.modalities["caption"]
    corner = data.test.targets["corner"]
    modalities = {"caption": Modality(caption.values[order], vocabulary=caption.vocabulary)}
    targets = {"corner": Target(corner.values[order], corner.classes, corner.role)}
    return dataclasses.replace(data, test=dataclasses.replace(data.test, modalities=modalities, targets=targets))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("retrieval", "image_to_caption/recall_1"),
        ("zero_shot", "corner/accuracy"),
    ],
)
def test_permuted_labels_fall_to_chance(name: str, key: str, tmp_path: Path) -> None:
    plugin = REGISTRY.load("evaluator", name)
    oracle = dataclasses.replace(plugin.oracle(), data=permuted(tiny_data()))
    result = _evaluate(plugin, oracle_run(oracle, oracle_method(oracle)), RunFolder(tmp_path).path, **oracle.params)
    assert 0.1 <= result.metrics[key].value <= 0.4


def test_images_of_permuted_captions_are_of_other_classes(tmp_path: Path) -> None:
    """Captions alone are permuted: the made image follows its caption, and not the class of the image beside it."""
    plugin = REGISTRY.load("evaluator", "cross_generation")
    data = tiny_data()
    assert data.test is not None
    wrong = permuted(data).test
    assert wrong is not None
    test = dataclasses.replace(data.test, modalities=wrong.modalities)
    oracle = dataclasses.replace(plugin.oracle(), data=dataclasses.replace(data, test=test))
    result = _evaluate(plugin, oracle_run(oracle, oracle_method(oracle)), tmp_path, **oracle.params)
    assert 0.1 <= result.metrics["corner/accuracy"].value <= 0.4


def test_entries_of_a_vector_are_named_in_the_picture() -> None:
    from simssl_plugins.evaluators.cross_generation import texts_of

    modality = tiny_data().train.modalities["attributes"]
    assert texts_of(modality, modality.values[:4]) == ["north, west", "north", "west", ""]
