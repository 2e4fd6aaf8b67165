"""The layers: who may import whom, that there are no circles, and what the faces of the blocks list."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = sorted((ROOT / "simssl").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins" / "simssl_plugins").rglob("*.py"))

LAYERS = [
    {"simssl", "simssl.errors", "simssl.params", "simssl.version"},
    {"simssl.api"},
    {"simssl.plugin"},
    {"simssl.experiment"},
    {"simssl.store"},
    {"simssl.training"},
    {"simssl.evaluation"},
    {"simssl.report"},
    {"simssl.launch"},
    {"simssl.cli", "simssl.scaffold", "simssl.testing", "simssl.__main__"},
]
"""From the lowest to the highest. Each may import from those before it here, and from `simssl.blocks`."""
BLOCKS = {"simssl.blocks"}
"""They import nothing of ours but each other and the errors."""
APART = {"simssl.report": {"simssl.training", "simssl.evaluation"}}
"""What a layer leaves alone, though it stands higher."""
FACES = ("images", "losses", "networks", "probes", "statistics")
PLUGINS_MAY = {"simssl", "simssl.api", "simssl.blocks.distributed", "simssl.blocks.files", "simssl.blocks.messages"}
PLUGINS_MAY |= {"simssl.blocks.captions", "simssl.blocks.groups", "simssl.blocks.precision", "simssl.blocks.text"}
PLUGINS_MAY |= {f"simssl.blocks.{folder}" for folder in FACES}


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removeprefix("plugins.").removesuffix(".__init__")


def imports(file: Path) -> set[str]:
    """Every module that a file imports, inside of functions too, but not for type checking alone."""
    tree = ast.parse(file.read_text())
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            submodules = (f"{module}.{alias.name}" for alias in node.names)
            exists = {name for name in submodules if (ROOT / Path(*name.split("."))).with_suffix(".py").exists()}
            found |= exists or {module}
    return found


def within(module: str, names: set[str]) -> bool:
    return any(module == name or (name != "simssl" and module.startswith(f"{name}.")) for name in names)


def layer(module: str) -> int:
    matches = [i for i, names in enumerate(LAYERS) if within(module, names)]
    assert matches, f"{module} stands in no layer: add it to LAYERS"
    return min(matches)


@pytest.mark.parametrize("file", CORE, ids=module_of)
def test_core_imports_downwards(file: Path) -> None:
    module = module_of(file)
    if module == "simssl":
        return  # it imports on first use, so that a plugin finds what it needs in one place
    ours = {name for name in imports(file) if name.split(".")[0] in ("simssl", "simssl_plugins")}
    assert not within("simssl_plugins", ours)
    if within(module, BLOCKS):
        assert all(within(name, BLOCKS | {"simssl.errors"}) for name in ours), ours
        return
    for name in ours:
        assert within(name, BLOCKS) or layer(name) <= layer(module), f"{module} imports {name}"
    for folder, others in APART.items():
        assert not (within(module, {folder}) and any(within(name, others) for name in ours)), ours


def test_every_folder_stands_in_a_layer() -> None:
    folders = {
        module_of(file) for file in (ROOT / "simssl").iterdir() if file.is_dir() and (file / "__init__.py").exists()
    }
    assert folders == {name for names in (*LAYERS, BLOCKS) for name in names} & folders


RENDER = ("render", "plots", "svg", "labels", "steps/drawing")
"""The modules that render a report's page; the others gather what it shows."""


@pytest.mark.parametrize("name", RENDER)
def test_what_renders_a_page_reads_no_disk(name: str) -> None:
    """Templates and the style sheet come through importlib.resources."""
    disk = {
        "os",
        "io",
        "pathlib",
        "simssl.store",
        "tensorboard",
        "simssl.report.page.files",
        "simssl.report.page.steps.curves",
        "simssl.report.page.steps.measured",
    }
    file = ROOT / "simssl" / "report" / "page" / f"{name}.py"
    assert not [module for module in imports(file) if within(module, disk)]


@pytest.mark.parametrize("folder", FACES)
def test_the_face_of_a_folder_lists_what_is_in_it(folder: str) -> None:
    """Every public function and class of its modules, each once, under names that no module has."""
    face = importlib.import_module(f"simssl.blocks.{folder}")
    listed = list(face.__all__)
    assert len(set(listed)) == len(listed)
    modules = [file for file in (ROOT / "simssl" / "blocks" / folder).glob("*.py") if file.stem != "__init__"]
    assert not {file.stem for file in modules} & set(listed)
    defined = {
        node.name
        for file in modules
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    assert defined - set(listed) <= {"digest_of"}, "a helper of the folder's own is the one exception"
    assert all(hasattr(face, name) for name in listed)


def test_the_faces_load_nothing_heavy() -> None:
    """Neither does the plugin that brings a library's models."""
    modules = [f"simssl.blocks.{folder}" for folder in FACES]
    code = f"import sys, {', '.join(modules)}, simssl_plugins.backbones.timm\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torchvision", "timm", "torchmetrics", "sklearn", "scipy"} & set(loaded)


def test_there_are_no_circles() -> None:
    """Imports inside of functions count. The root has them on first use alone, and is left out."""
    graph = {module_of(file): imports(file) for file in CORE if module_of(file) != "simssl"}
    sorter = TopologicalSorter({module: others & graph.keys() for module, others in graph.items()})
    sorter.prepare()  # CycleError names the modules


@pytest.mark.parametrize("file", PLUGINS, ids=module_of)
def test_plugins_import_what_they_may(file: Path) -> None:
    ours = {name for name in imports(file) if name.split(".")[0] in ("simssl", "simssl_plugins")}
    assert ours <= PLUGINS_MAY, ours - PLUGINS_MAY


@pytest.mark.parametrize("file", [f for f in CORE if within(module_of(f), LAYERS[2] | LAYERS[3])], ids=module_of)
def test_configuration_does_not_import_torch(file: Path) -> None:
    assert not any(name.split(".")[0] in ("torch", "torchvision") for name in imports(file))


def test_core_names_no_plugin() -> None:
    """No method, data set or metric by name; the two default trackers are the contract's."""
    import tomllib

    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    names = {n for group, points in tables.items() if group != "simssl.trackers" for n in points}
    names -= {"random", "reconstruction", "decoder", "mlp", "attributes"}  # words of their own; blocks.networks has mlp
    names -= {"timm"}  # a library whose version is recorded
    for file in CORE:
        strings = {
            node.value
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & names, f"{file} names {strings & names}"


def test_modules_are_short() -> None:
    """A reader should not have to scroll far; the exceptions are lists of short things that belong together."""
    long = {module_of(f): n for f in CORE + PLUGINS if (n := len(f.read_text().splitlines())) > 260}
    assert set(long) <= {"simssl.api", "simssl.cli"}, long
