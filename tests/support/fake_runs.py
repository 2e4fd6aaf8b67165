"""Folders of runs as a report reads them, made without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

SETTINGS = {
    "name": "e",
    "dataset": {"name": "mnist"},
    "views": {},
    "backbone": {"name": "mlp"},
    "latent_dim": 10,
    "objective": {"name": "simvae", "J": 10},
    "training": {"views": 1000},
    "trackers": [],
    "seed": 0,
}

FAMILY = {"random": "untrained", "simclr": "discriminative", "vicreg": "discriminative"}
"""The families of the fakes; the others are generative."""


def metric(value: float, **protocol: Any) -> dict[str, Any]:
    return {"value": value, "unit": "fraction", "better": "higher", "protocol": {"split": "test", **protocol}}


def write_run(path: Path, metrics: dict[str, Any] | None, facts: dict[str, Any] | None = None, **settings: Any) -> Path:
    """A run's folder; without metrics it is unfinished. The facts default to the family of the objective's name, the
    evaluators to those of the metrics."""
    labels = dict.fromkeys(key.split("/")[0] for key in metrics or {"knn": None})
    merged = {**SETTINGS, "evaluators": [{"name": label} for label in labels], **settings}
    path.mkdir(parents=True, exist_ok=True)
    (path / ".lock").touch()
    (path / "experiment.yaml").write_text(yaml.safe_dump(merged))
    objective = merged["objective"]
    name = objective.get("name") if isinstance(objective, dict) else None
    known = {"family": FAMILY.get(name, "generative")} if facts is None else facts
    if metrics is not None:
        (path / "metrics.json").write_text(json.dumps({**known, "metrics": metrics}))
    return path
