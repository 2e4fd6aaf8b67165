"""A snapshot puts back whatever modules an objective is made of."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn

from simssl.api import Context
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_run
from simssl.training.capture.snapshot import Snapshot
from simssl.training.trainer import Trainer


class Scripted(TinyObjective):
    """It holds a scripted module, whose buffers do not lie in a dict of Python's."""

    def __init__(self, params: object, context: Context) -> None:
        super().__init__(params, context)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch advises against scripting
            self.scripted = torch.jit.script(nn.BatchNorm1d(3))


def test_buffers_of_a_scripted_module_are_put_back(tmp_path: Path) -> None:
    built = tiny_run(Scripted)
    trainer = Trainer(built, RunFolder(tmp_path))
    assert trainer.unit is not None
    snapshot = Snapshot(trainer.unit)
    built.objective.train()
    built.objective.scripted(torch.randn(8, 3) + 5)
    assert built.objective.scripted.running_mean.abs().min() > 0
    assert snapshot.replaced() == []
    snapshot.restore()
    assert torch.equal(built.objective.scripted.running_mean, torch.zeros(3))
