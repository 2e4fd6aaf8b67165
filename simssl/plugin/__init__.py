"""Plugins: the hooks, what is installed, and how one is loaded."""
