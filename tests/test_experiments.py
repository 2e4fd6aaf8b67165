"""Every experiment file that comes with simssl is right, and says what it reproduces."""

from __future__ import annotations

from pathlib import Path

import pytest

from simssl.experiment.config import load_experiments
from simssl.experiment.schema import MODELINE
from simssl.plugin.registry import Registry

RECIPES = ("cifar10_lightly", "cifar10_solo")
"""Of others, who give each method views of its own."""
FOLDER = Path(__file__).parents[1] / "experiments"
FILES = sorted(FOLDER.glob("*.yaml"))
CLAIMS = sorted((FOLDER / "claims").glob("*.yaml"))
"""Of these many compare a method with itself at several settings of its networks or its budget."""


@pytest.mark.parametrize("file", [*FILES, *CLAIMS], ids=lambda file: file.stem)
def test_experiment_is_right(file: Path) -> None:
    experiments = load_experiments(file, Registry(builtins_only=True))
    assert experiments
    schema, about, *_ = file.read_text().splitlines()
    assert schema == MODELINE.format("simssl.schema.json")
    assert about.startswith("# "), "it opens with what it reproduces"
    assert {experiment.name for experiment in experiments} == {file.stem.replace("_", "-")}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_methods_of_an_experiment_are_compared_at_equal_work(file: Path) -> None:
    experiments = load_experiments(file, Registry(builtins_only=True))
    trainings = [experiment.training for experiment in experiments]
    assert len({(training.views, training.epochs, training.batch_views) for training in trainings}) == 1
    assert len({(str(e.backbone.resolved), e.latent_dim) for e in experiments}) == 1
    if file.stem not in RECIPES:
        assert len({str(e.views) for e in experiments}) == 1


@pytest.mark.parametrize("file", CLAIMS, ids=lambda file: file.stem)
def test_a_claim_is_tested_on_the_same_data_and_over_three_seeds(file: Path) -> None:
    experiments = load_experiments(file, Registry(builtins_only=True))
    assert len({str((e.dataset.resolved, e.views, e.positives)) for e in experiments}) == 1
    assert {e.seed for e in experiments} == {0, 1, 2}


def test_what_is_compared_with_published_numbers_is_probed_as_the_paper_does() -> None:
    """And says so in the file; the others are trained until they have converged."""
    probes = ("linear_probe", "mlp_probe", "attributes")
    for file in FILES:
        is_compared = "# Published" in file.read_text()
        for experiment in load_experiments(file, Registry(builtins_only=True)):
            protocols = [choice.params.protocol for choice in experiment.evaluators if choice.name in probes]
            assert set(protocols) <= {"paper" if is_compared else "converged"}, file
        probed = [line for line in file.read_text().splitlines() if line.lstrip().startswith("- {name: mlp_probe")]
        assert all("protocol: paper" in line for line in probed)
