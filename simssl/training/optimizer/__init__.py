"""The optimisers, and the learning rate over the run."""
