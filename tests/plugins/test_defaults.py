"""What a plugin takes from a source is the default that its field has."""

from __future__ import annotations

import pytest
from references import REGISTRY, build
from torch import nn

from simssl.experiment.model import Choice

SOURCED = {
    "simvae": {"J": 10, "sigma2": 0.15, "psi": "gaussian"},
    "cr_vae": {"lambda_": 1e-3},
    "simclr": {"temperature": 0.5},
    "moco": {"queue": 4096, "momentum": 0.99, "temperature": 0.1, "batch_norm_splits": 8},
    "vicreg": {"invariance": 25, "variance": 25, "covariance": 1},
    "infonce": {"similarity": "dot", "temperature": 1},
    "instance_discrimination": {"variant": "parametric", "negatives": 4096, "temperature": 0.1, "momentum": 0.5},
    "deep_cluster": {"iterations": 20},
    "byol": {"head": (4096, 256), "predictor": (4096,), "momentum": 0.996},
    "barlow_twins": {"lambda_": 0.0051, "scale": 1},
    "swav": {"temperature": 0.1, "epsilon": 0.05, "iterations": 3, "frozen_epochs": 1},
    "spectral_contrastive": {"mu": 10},
    "lejepa": {"lambda_": 0.05, "directions": 1024},
    "dino": {"temperature": 0.1, "teacher_temperature": 0.04, "momentum": 0.996, "centre_momentum": 0.9},
}
"""The papers' values, or those of their authors' code."""

PROBE = {"epochs": 200, "batch": 64, "lr": 3e-4, "select": "held_out"}
EVALUATORS = {
    "mlp_probe": PROBE,
    "linear_probe": PROBE,
    "attributes": {**PROBE, "probe": "mlp"},
    "knn": {"k": tuple(range(1, 21)), "select": "held_out"},
    "gmm": {"starts": 20},
}
"""The paper's protocol, which probes have by name; what is selected on test is asked for by name, too."""


@pytest.mark.parametrize(
    ("kind", "name", "sourced"),
    [(kind, *item) for kind, table in (("objective", SOURCED), ("evaluator", EVALUATORS)) for item in table.items()],
)
def test_defaults_are_the_sources(kind: str, name: str, sourced: dict[str, object]) -> None:
    by_name = {"protocol": "paper"} if "epochs" in sourced else {}
    params = REGISTRY.load(kind, name).Params(**by_name)
    assert {field: getattr(params, field) for field in sourced} == sourced


def test_both_heads_of_byol_have_batch_norm() -> None:
    objective = build("byol", head=(7, 5), predictor=(6,))
    for head, width in ((objective.head, 7), (objective.predictor, 6)):
        assert [m.num_features for m in head if isinstance(m, nn.BatchNorm1d)] == [width]


@pytest.mark.parametrize(
    ("kind", "name", "added"),
    [
        ("dataset", "digits", {"captions"}),
        ("dataset", "mnist", {"captions", "style"}),
        ("dataset", "fashion_mnist", {"style"}),
        ("dataset", "celeba", {"captions", "attributes"}),
        ("objective", "simvae", {"modalities", "modality_weight"}),
        ("evaluator", "collapse", {"groups"}),
    ],
)
def test_a_run_of_before_a_parameter_was_added_has_the_same_files(kind: str, name: str, added: set[str]) -> None:
    """A parameter that was added is not written down unless it is set."""
    plugin = REGISTRY.load(kind, name)
    written = Choice(kind, name, plugin.Params()).resolved
    assert not added & set(written)
    given = {"captions": True, "style": True, "attributes": True, "modalities": ("caption",), "groups": ("class",)}
    chosen = {key: value for key, value in given.items() if key in added}
    assert set(chosen) <= set(Choice(kind, name, plugin.Params(**chosen)).resolved)
