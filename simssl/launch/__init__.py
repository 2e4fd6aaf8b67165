"""Runs are started: one, all of a grid, several at once; and evaluators on a run that is trained."""
