"""A grid of many runs: what its runs have in common is checked once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from simssl.experiment import sections

Command = Callable[..., Result]
Write = Callable[..., Path]


def test_each_section_is_checked_once(simssl: Command, small: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    validate = sections.validate

    def counted(model: type[Any], *others: Any) -> Any:
        checked.append(model.__qualname__)
        return validate(model, *others)

    monkeypatch.setattr(sections, "validate", counted)
    objectives = [{"name": "simvae"}, {"name": "simclr"}, {"name": "vae"}]
    file = small(grid={"objective": objectives, "latent_dim": [2, 3], "seed": list(range(50))})
    assert "300 runs" in simssl("check", file).stdout
    core = 2  # one for each latent_dim
    assert len(checked) == core + len(objectives) + 3  # data set, backbone, evaluator


def test_ten_thousand_runs_are_the_most(simssl: Command, small: Write) -> None:
    result = simssl("check", small(grid={"seed": list(range(101)), "latent_dim": list(range(1, 101))}))
    assert result.exit_code == 2
    assert "10,000 runs" in result.stderr


def test_what_is_wrong_in_some_runs_is_told_once(simssl: Command, small: Write) -> None:
    wrong = [{"name": "simvae", "J": 0}, {"name": "simvea"}, {"name": "vae"}]
    result = simssl("check", small(grid={"objective": wrong, "seed": [*range(50), -1]}))
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 3
    for said in ("'J' must be", "simvea", "'seed' must be at least 0"):
        assert sum(said in line for line in lines) == 1


def test_a_setting_in_several_axes_is_the_last_ones(simssl: Command, small: Write) -> None:
    """The keys of a combination are set in the order in which they first stand, with the value of the last axis."""
    from simssl.experiment.config import load_experiments
    from simssl.plugin.registry import Registry

    axes = {
        "a": [{"latent_dim": 2, "training.batch_views": 60}, {"latent_dim": 3, "training.batch_views": 90}],
        "b": [{"seed": 1, "latent_dim": 5}, {"seed": 2}],
        "c": [{"training.views": 600}, {"training.views": 1200}],
    }
    runs = load_experiments(small(grid=axes), Registry())
    found = [(run.latent_dim, run.seed, run.training.views) for run in runs[:4]]
    assert found == [(5, 1, 600), (5, 1, 1200), (2, 2, 600), (2, 2, 1200)]
