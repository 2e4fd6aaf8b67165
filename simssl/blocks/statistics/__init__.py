"""Measures of representations and of images: neighbours, clusters, components, distances."""
