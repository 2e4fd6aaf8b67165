"""`simssl new`: a package of the user's own around one plugin, which installs, runs and passes its tests as it is.

The package is made from `templates/`, where `$words` are filled in. They hold for each kind an experiment and a worked
example, `<kind>.py`, which the documentation shows, too.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

import simssl
from simssl.errors import UserError
from simssl.experiment.yaml12 import parse_value
from simssl.plugin.registry import Registry

WORDS = {
    "dataset": "data set",
    "backbone": "backbone",
    "objective": "objective",
    "evaluator": "evaluator",
    "tracker": "tracker",
}
"""Each kind as a sentence calls it."""


@dataclass(frozen=True)
class Package:
    """A plugin's package. `name` is the plugin's name in experiment files; the other names follow from it."""

    kind: str
    name: str

    @property
    def distribution(self) -> str:
        return f"simssl-{self.name.replace('_', '-')}"

    @property
    def module(self) -> str:
        return f"simssl_{self.name}"

    def files(self) -> dict[str, str]:
        """Return the content of each file, by its path in the package."""
        words = {
            "kind": self.kind,
            "what": f"The {WORDS[self.kind]}",
            "name": self.name,
            "distribution": self.distribution,
            "module": self.module,
            "requirement": _requirement(simssl.__version__),
        }
        templates = {
            "pyproject.toml": "pyproject.toml.template",
            "README.md": "README.md.template",
            f"{self.module}.py": f"{self.kind}.py",
            "experiment.yaml": f"{self.kind}.yaml",
            f"tests/test_{self.name}.py": "test.py.template",
        }
        files = {}
        for path, name in templates.items():
            template = Template(_template(name))
            files[path] = template.substitute(words)
        return files


def new(kind: str, name: str, destination: Path, registry: Registry) -> Package:
    """Write the package of a new plugin into a folder that does not exist yet.

    UserError if the name is none for a plugin or is taken, or if there is something at `destination`.
    """
    _check_form(name)
    package = Package(kind, name)
    _check_free(package, registry)
    files = package.files()
    try:
        destination.mkdir(parents=True)
        for path, text in files.items():
            file = destination / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise UserError(f"{error.filename} exists and is left as it is; name a folder that does not exist") from error
    except OSError as error:
        raise UserError(f"{destination} cannot be written: {error.strerror}") from error
    return package


def _check_form(name: str) -> None:
    """UserError if the name cannot serve in YAML, for a distribution and for a module at once."""
    if re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        value = parse_value(name, name).tree
        if isinstance(value, str):
            return
    separated = re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = re.findall("[a-z0-9]+", separated)
    guess = "_".join(words).lstrip("0123456789_")
    if guess in ("", name):
        guess = "my_plugin"
    raise UserError(
        f"'{name}' cannot be a plugin's name: that is lower-case letters, digits and single '_' between them, begins "
        f"with a letter and is a word in YAML, such as '{guess}'"
    )


def _check_free(package: Package, registry: Registry) -> None:
    """UserError if one of the package's names is taken."""
    kind = package.kind
    name = package.name
    providers = [plugin.source for plugin in registry.plugins(kind) if plugin.name == name]
    if providers:
        by = " and ".join(providers)
        raise UserError(f"{kind} '{name}' is provided by {by}; choose another name")
    distribution = package.distribution
    try:
        installed = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        raise UserError(
            f"the package would be called {distribution}, and {distribution} {installed.version} is installed; "
            "choose another name, or uninstall it"
        )
    if importlib.util.find_spec(package.module):
        raise UserError(f"its module would be called {package.module}, which is one already; choose another name")


def _requirement(version: str) -> str:
    """The versions of simssl that break nothing, by semantic versioning: before 1.0 those of one minor version."""
    major, minor, *_ = version.split(".")
    if major == "0":
        return f">=0.{minor},<0.{int(minor) + 1}"
    return f">={major}.{minor},<{int(major) + 1}"


def _template(name: str) -> str:
    file = importlib.resources.files(__name__).joinpath("templates", name)
    return file.read_text(encoding="utf-8")
