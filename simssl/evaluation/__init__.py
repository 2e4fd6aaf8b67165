"""A trained model becomes numbers and pictures, and representations of images."""
