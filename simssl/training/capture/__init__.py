"""Training steps as CUDA graphs: captured once, then replayed."""
