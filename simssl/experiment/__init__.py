"""Text becomes a checked Experiment; nothing here imports torch."""
