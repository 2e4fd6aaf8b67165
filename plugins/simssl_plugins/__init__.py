"""The built-in plugins: one file a plugin, found by entry point like anyone else's."""
