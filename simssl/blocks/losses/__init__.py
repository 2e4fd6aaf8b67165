"""Losses, likelihoods, and the terms of lower bounds."""
