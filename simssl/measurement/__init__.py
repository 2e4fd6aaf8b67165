"""A trained model becomes numbers and pictures, and many runs one table."""
