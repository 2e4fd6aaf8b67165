"""Image files, data sets of them, and pictures made of images."""
