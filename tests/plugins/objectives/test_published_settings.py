"""Settings that published recipes have: a teacher whose momentum does not rise to 1, batch norm in the head."""

from __future__ import annotations

import pytest
import torch
from references import build, loss, views
from torch import nn

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", ["byol", "dino"])
@pytest.mark.parametrize(("progress", "expected"), [(0.0, 0.5), (0.5, 0.7), (1.0, 0.9)])
def test_the_teacher_follows_with_the_last_momentum(name: str, progress: float, expected: float) -> None:
    objective = build(name, head=(3,), momentum=0.5, final_momentum=0.9)
    loss(objective, views(4, 2))
    teacher = next(objective.teacher.parameters())
    with torch.no_grad():
        teacher.fill_(1.0)
        next(objective.encoder.parameters()).fill_(0.0)
    objective.after_step(torch.tensor(progress))
    torch.testing.assert_close(teacher, torch.full_like(teacher, expected))


def norms(head: nn.Sequential) -> list[tuple[int, bool]]:
    """The number of each layer that is batch norm, and whether it has a scale and a shift."""
    return [(number, layer.affine) for number, layer in enumerate(head) if isinstance(layer, nn.BatchNorm1d)]


def test_batch_norm_in_the_heads_of_simclr_and_vicreg() -> None:
    """SimCLR's is behind the last layer, too, without a scale and a shift; without the setting there is none."""
    simclr = build("simclr", head=(6, 5), batch_norm=True).head
    vicreg = build("vicreg", head=(6, 5), batch_norm=True).head
    assert norms(simclr) == [(1, True), (4, False)]
    assert norms(vicreg) == [(1, True)]
    assert norms(build("simclr").head) == norms(build("vicreg").head) == []
