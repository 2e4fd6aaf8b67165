"""The way from a plugin's name in YAML to its class.

1. `registry` lists the entry points of all installed distributions, and the files that --plugin names (`one_file`).
   It imports no installed plugin.
2. Each is a `Plugin` of `plugin`: kind, name, module and distribution.
3. `Registry.load` takes the one of a name, and refuses it if it is for other versions of simssl (`versions`).
4. `loading` imports its module, calls the hook (`hooks`) and checks the class that comes back.

`listing` shows them all, for `simssl plugins`.
"""
