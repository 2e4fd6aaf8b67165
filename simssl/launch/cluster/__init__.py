"""Runs as tasks of a cluster, through submitit."""
