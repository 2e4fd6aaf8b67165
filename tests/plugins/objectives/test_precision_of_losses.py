"""Losses are computed in float32 whatever the precision of the networks, for every objective that is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from references import REGISTRY, build, loss, views
from torch import Tensor, nn

from simssl.api import views_of

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "infonce": [{"similarity": "dot"}, {"similarity": "cosine"}],
    "instance_discrimination": [{"variant": "parametric"}, {"variant": "memory_bank"}],
}
TRAINED = [name for name in REGISTRY.names("objective") if REGISTRY.load("objective", name).trained]
CASES = [(name, params) for name in TRAINED for params in VARIANTS.get(name, [{}])]


class Rounded(nn.Module):
    """A network whose outputs are rounded to bfloat16, and come as that or as float32."""

    comes_as = torch.float32

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            given = x.float() if x.is_floating_point() else x
            rounded: Tensor = self.network(given).bfloat16()
        return rounded.to(self.comes_as)


@pytest.mark.parametrize(("name", "params"), CASES)
def test_autocast_rounds_networks_alone(name: str, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same outputs of the networks, each term of the loss is bit for bit the same under autocast."""
    objective = build(name, **params).float()
    x = views(8, len(views_of(type(objective), objective.params))).float()
    for owner in (objective, *(getattr(objective, name, nn.Module()) for name in ("model", "modality_model"))):
        for part in {"encoder", "decoder", "head", "predictor", "modality_encoder"} & set(owner._modules):
            setattr(owner, part, Rounded(getattr(owner, part)))
    if hasattr(objective, "teacher"):
        network = objective.teacher.network
        objective.teacher.network = nn.Sequential(Rounded(network[:2]), *network[2:])
    expected = loss(objective, x).loss
    monkeypatch.setattr(Rounded, "comes_as", torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = loss(objective, x).loss
    assert {term.dtype for term in terms.values()} == {torch.float32}
    for term, value in expected.items():
        assert torch.equal(terms[term], value), term
