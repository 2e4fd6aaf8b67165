"""A small experiment on data that scikit-learn brings."""

from __future__ import annotations

SMALL = {
    "name": "small",
    "dataset": {"name": "digits"},
    "views": {"crop": {"scale": [0.4, 1.0]}},
    "backbone": {"name": "mlp", "hidden": [16]},
    "latent_dim": 4,
    "objective": {"name": "simvae", "J": 3},
    "training": {"views": 1800, "batch_views": 60, "log_every": 5, "checkpoint_seconds": 0},
    "evaluators": [{"name": "knn"}],
    "trackers": [],
    "seed": 0,
}
"""A run of 30 steps, most of a second long; an epoch has 71."""
