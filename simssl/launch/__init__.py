"""Cells are worked on in other processes than the one that the user started."""
