"""The version of simssl, and that of what plugins are written against."""

__version__ = "0.1.0"

API_VERSION = 4
"""The version of `simssl.api`, of the hooks and of the faces of `simssl.blocks`.

It is raised by each change that breaks plugins, and by nothing else. `simssl.plugin.versions` lists the changes.
"""
