"""An editor checks, completes and explains an experiment file, through the YAML language server that editors use."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from language_server import HOW, LanguageServer, installed

from simssl.experiment.schema import MODELINE, schema
from simssl.plugin.registry import Registry
from simssl.scaffold import Package

EXPERIMENTS = sorted((Path(__file__).parents[2] / "experiments").glob("*.yaml"))
pytestmark = pytest.mark.skipif(not installed(), reason=HOW)

HEAD = MODELINE.format("simssl.schema.json") + "\n"
WHOLE = f"""{HEAD}name: small
dataset: {{name: digits}}
views: {{crop: {{scale: [0.4, 1.0]}}}}
backbone: {{name: mlp, hidden: [16]}}
latent_dim: 4
objective: {{name: simvae, sigma2: 0.15}}
training: {{views: 240_000, optimizer: {{name: adam, lr: 1e-3}}}}
evaluators: [{{name: knn, k: 5}}]
grid:
  objective: [{{name: simclr}}, {{name: vae}}]
  method: [{{objective: {{name: simclr}}}}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("experiments")
    (folder / "simssl.schema.json").write_text(json.dumps(schema(Registry(builtins_only=True))[0]))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LanguageServer]:
    with LanguageServer(installed() or "", folder) as server:
        yield server


@pytest.fixture
def write(folder: Path, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        path = folder / f"{abs(hash(request.node.name))}-{len(os.listdir(folder))}.yaml"
        path.write_text(text)
        return path

    return to_file


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_nothing_is_wrong_with_the_experiments(
    file: Path, server: LanguageServer, write: Callable[[str], Path]
) -> None:
    """Their first line names the schema beside them, as `simssl schema -o` writes it."""
    assert file.read_text().startswith(HEAD)
    assert server.diagnostics(write(file.read_text())) == []


@pytest.mark.parametrize("kind", ["dataset", "backbone", "objective", "evaluator", "tracker"])
def test_a_package_s_experiment_names_the_schema(
    kind: str, server: LanguageServer, write: Callable[[str], Path]
) -> None:
    """A built-in plugin takes the part of its own, which is in no schema before the package is installed."""
    text = Package(kind, "brand_new").files()["experiment.yaml"]
    assert text.startswith(HEAD)
    (_, message), *_ = server.diagnostics(write(text))
    assert message.startswith("Value is not accepted.")
    name = {"dataset": "digits", "backbone": "convnet", "tracker": "tensorboard", "evaluator": "gmm"}.get(kind, "vae")
    assert server.diagnostics(write(text.replace("{name: brand_new", f"{{name: {name}"))) == []


@pytest.mark.parametrize(
    ("right", "wrong", "line", "message"),
    [
        ("sigma2:", "sgima2:", 7, "Property sgima2 is not allowed."),
        ("latent_dim:", "latent_dims:", 6, "Property latent_dims is not allowed."),
        ("k: 5", "kk: 5", 9, "Property kk is not allowed."),
        ("lr: 1e-3", "lrr: 1e-3", 8, "Property lrr is not allowed."),
        ("scale:", "scales:", 4, "Property scales is not allowed."),
        ("{name: vae}", "{name: vae, beta: 2}", 11, "Property beta is not allowed."),
        ("method: [{objective: {name: simclr}}]", "method: [{objective: {name: vae, J: 2}}]", 12, "Property J is"),
        ("{name: simvae,", "{name: simvea,", 7, 'Value is not accepted. Valid values: "barlow_twins", "beta_vae", '),
        ("sigma2: 0.15", "sigma2: 0", 7, "Value is below the exclusive minimum of 0."),
        ("sigma2: 0.15", "sigma2: large", 7, "a number is expected"),
        ("views: 240_000", "views: many", 8, "a whole number, such as 240_000, is expected"),
        ("k: 5", "k: [5, many]", 9, "a whole number, such as 240_000, is expected"),
    ],
)
def test_a_mistake_is_told_once(
    right: str, wrong: str, line: int, message: str, server: LanguageServer, write: Callable[[str], Path]
) -> None:
    assert WHOLE.count(right) == 1
    diagnostics = server.diagnostics(write(WHOLE.replace(right, wrong)))
    assert [at for at, _ in diagnostics] == [line]
    assert diagnostics[0][1].startswith(message)


def test_numbers_that_are_grouped_are_numbers(server: LanguageServer, write: Callable[[str], Path]) -> None:
    text = WHOLE.replace("240_000", "1_240_000").replace("lr: 1e-3", "lr: 1_000.5").replace("k: 5", "k: [1, 1_0]")
    assert server.diagnostics(write(text)) == []


@pytest.mark.parametrize("kind", ["dataset", "backbone", "objective", "evaluator", "tracker"])
def test_names_are_offered(kind: str, server: LanguageServer, write: Callable[[str], Path]) -> None:
    many = kind in ("evaluator", "tracker")
    head = f"{HEAD}name: small\n{kind}s:\n  - name: " if many else f"{HEAD}name: small\n{kind}:\n  name: "
    file = write(head + "\n")
    server.diagnostics(file)
    offered = server.completion(file, 3, len(head.splitlines()[-1]))
    assert sorted(offered) == Registry(builtins_only=True).names(kind)
    assert all(offered.values()), "each is explained"


def test_keys_and_parameters_are_offered(server: LanguageServer, write: Callable[[str], Path]) -> None:
    file = write(f"{HEAD}name: small\n\nobjective:\n  name: simvae\n  \n")
    server.diagnostics(file)
    sections = server.completion(file, 2, 0)
    assert {"dataset", "views", "training", "evaluators", "grid", "seed"} <= sections.keys()
    parameters = server.completion(file, 5, 2)
    assert parameters["sigma2"].startswith("Variance of the latents around their shared mean psi. Source:")
    assert "temperature" not in parameters


@pytest.mark.parametrize(
    ("word", "heading", "meaning"),
    [
        ("sigma2", "sigma2: number > 0, default 0.15", "Variance of the latents around their shared mean psi. Source:"),
        ("latent_dim", "latent_dim: integer ≥ 1, required", "Dimensions of the representation."),
        ("simvae", "objective", "SimVAE: a VAE whose prior draws the J views of an image around one mean."),
        ("views: 240", "views: integer ≥ 1 or empty, empty by default", "Budget in images shown, every view counted;"),
        ("k: 5", "k: integer ≥ 1 or list of (integer ≥ 1), default", "Neighbours that vote;"),
        ("lr", "lr: number > 0, default 0.001", "Learning rate"),
    ],
)
def test_what_stands_under_the_pointer_is_explained(
    word: str, heading: str, meaning: str, server: LanguageServer, write: Callable[[str], Path]
) -> None:
    file = write(WHOLE)
    server.diagnostics(file)
    line, column = next((i, text.index(word)) for i, text in enumerate(WHOLE.splitlines()) if word in text)
    first, *rest = server.hover(file, line, column).replace("\\", "").splitlines()
    assert first.startswith(f"#### {heading}")
    assert " || " not in first
    assert any(text.startswith(meaning) for text in rest)
