"""What a plugin takes from a source is the default that its field has."""

from __future__ import annotations

import pytest
from references import REGISTRY, build
from torch import nn

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
    "dino": {"temperature": 0.1, "teacher_temperature": 0.04, "momentum": 0.996, "centre_momentum": 0.9},
}
"""The papers' values, or those of their authors' code."""


@pytest.mark.parametrize("name", SOURCED)
def test_defaults_are_the_sources(name: str) -> None:
    params = REGISTRY.load("objective", name).Params()
    assert {field: getattr(params, field) for field in SOURCED[name]} == SOURCED[name]


def test_both_heads_of_byol_have_batch_norm() -> None:
    objective = build("byol", head=(7, 5), predictor=(6,))
    for head, width in ((objective.head, 7), (objective.predictor, 6)):
        assert [m.num_features for m in head if isinstance(m, nn.BatchNorm1d)] == [width]
