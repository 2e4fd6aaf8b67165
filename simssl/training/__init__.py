"""A checked Experiment becomes a trained model on disk."""
