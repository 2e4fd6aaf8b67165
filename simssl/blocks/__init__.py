"""What plugins are built from; nothing here imports another part of simssl."""
