"""What a run computes on: its device and memory, its precision, and OpenMP's threads beside other programs."""
