"""A run's folder: what training, evaluation and report share."""
