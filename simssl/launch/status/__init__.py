"""What every run of a grid is doing: written down by the process that works on it, and read back."""
