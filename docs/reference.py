"""The pages that are made from the code: python docs/reference.py writes them again.

`parameters.md` has the built-in plugins, as `simssl show` prints them. `api.md` has what a plugin's author subclasses,
from `simssl.api`. `blocks.md` has what plugins are built from, `simssl.blocks`.

Of other pages a part is made, between two marks: in `experiment.md` the keys, from the pydantic models, and in the
pages on writing a plugin the worked example, from `simssl/scaffold/templates`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from simssl import api, blocks, scaffold
from simssl.experiment.config import ABOUT
from simssl.experiment.describe import default_of, type_of
from simssl.experiment.model import Core
from simssl.experiment.sections import DEFAULTS, MANY, MEASURE, ONE, SELECTION
from simssl.experiment.settings import Moments, Selection
from simssl.params import Params
from simssl.plugin.registry import KINDS, Registry

Json = dict[str, Any]
"""A part of a JSON Schema: a field with its type, default and description, or fields or models by their names."""
Row = tuple[str, str]
"""Code, and what it means."""

DOCS = Path(__file__).parent
TEMPLATES = Path(scaffold.__file__).parent / "templates"
MADE = "<!-- Made by python docs/reference.py from {}; change it there. -->"
END = "<!-- End of what is made. -->"

WITH_EXAMPLE = {
    "dataset": "writing-a-dataset.md",
    "backbone": "writing-a-backbone.md",
    "evaluator": "writing-an-evaluator.md",
    "tracker": "writing-a-tracker.md",
}
"""The page that shows a kind's worked example. The objective's page builds up another one, step by step."""


def pages() -> dict[Path, str]:
    """Return the text of each page, as it should be."""
    texts = {
        DOCS / "parameters.md": parameters_page(),
        DOCS / "api.md": api_page(),
        DOCS / "blocks.md": blocks_page(),
    }
    experiment = DOCS / "experiment.md"
    texts[experiment] = _with_part(experiment, "simssl/experiment", keys())
    for kind, name in WITH_EXAMPLE.items():
        page = DOCS / name
        code = (TEMPLATES / f"{kind}.py").read_text()
        texts[page] = _with_part(page, f"simssl/scaffold/templates/{kind}.py", f"```python\n{code}```\n")
    return texts


def _with_part(page: Path, source: str, part: str) -> str:
    """Return the page's text with this part between its two marks."""
    begin = MADE.format(source)
    before, _, rest = page.read_text().partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{part}\n{END}{after}"


# --- the keys of an experiment file ----------------------------------------------------------------------

KEYS = (
    "name",
    "dataset",
    "positives",
    "views",
    "backbone",
    "modalities",
    "latent_dim",
    "objective",
    "training",
    "evaluators",
    "measure",
    "selection",
    "trackers",
    "seed",
    "grid",
)
"""The keys at the top of an experiment file, in the order of the page."""


def keys() -> str:
    """Return a table of the keys at the top of the file, and one for each mapping below `views` and `training`."""
    schema = Core.model_json_schema()
    models = schema["$defs"]
    fields = schema["properties"]
    described = fields | _plugin_keys()
    described["modalities"] = {"type": "mapping", "default": None, "description": ABOUT["modalities"]}
    for key in (MEASURE, SELECTION):
        described[key] = {"type": "mapping", "default": None, "description": ABOUT[key]}
    described["grid"] = {"type": "mapping", "default": None, "description": ABOUT["grid"]}
    top = {key: described[key] for key in KEYS}
    parts = [_table(top, "")]
    told: dict[str, str] = {}
    for section in ("positives", "views", "training"):
        parts += _section(section, str(_reference(fields[section])), models, told)
    parts += _while_training(MEASURE, Moments, {"evaluators": "list"})
    parts += _while_training(SELECTION, Selection, {"evaluator": "mapping"})
    return "\n".join(parts)


def _while_training(path: str, model: type[Params], plugins: dict[str, str]) -> Iterator[str]:
    """Yield a heading and a table for a section that names evaluators beside its own keys."""
    own = model.model_json_schema()
    about = {"list": "The evaluators, each with its parameters.", "mapping": "The evaluator, with its parameters."}
    named = {key: {"type": kind, "description": about[kind]} for key, kind in plugins.items()}
    yield f"### `{path}`\n"
    yield f"{ABOUT[path]}\n"
    yield _table(own["properties"] | named, path)


def _plugin_keys() -> Json:
    """Return the fields that name plugins, in the form of a JSON Schema; its own leaves them to the registry."""
    fields: Json = {}
    for key in ONE:
        fields[key] = {"type": "mapping", "description": ABOUT[key]}
    for key in MANY:
        default = ", ".join(DEFAULTS[key]) or None
        fields[key] = {"type": "list", "default": default, "description": ABOUT[key]}
    return fields


def _section(path: str, reference: str, models: Json, told: dict[str, str]) -> Iterator[str]:
    """Yield a heading and a table for the mapping at `path`, then for those within it.

    `told` has the path at which each kind of mapping is told. Where another is of the same kind, its key links there.
    """
    told[_name(reference)] = path
    model = models[_name(reference)]
    fields = {}
    for name, field in model["properties"].items():
        fields[name] = _with_description(field, models)
    yield f"### `{path}`\n"
    yield f"{_flat(model['description'])}\n"
    yield _table(fields, path, told)
    for name, field in fields.items():
        below = f"{path}.{name}"
        reference_within = _reference(field)
        if "oneOf" in field:
            yield from _alternatives(below, field, models)
        elif reference_within and _name(reference_within) not in told:
            yield from _section(below, reference_within, models, told)


def _alternatives(path: str, field: Json, models: Json) -> Iterator[str]:
    """Yield a heading, and a table for each of the mappings that are told apart by their `name`."""
    yield f"### `{path}`\n"
    yield f"{_flat(field['description'])} It takes the parameters of the one that `name` names, and no others.\n"
    for alternative in field["oneOf"]:
        model = models[_name(alternative["$ref"])]
        parameters = dict(model["properties"])
        name = parameters.pop("name")["const"]
        yield f"#### `{path}: {{name: {name}}}`\n"
        yield f"{_flat(model['description'])}\n"
        yield _table(parameters, path)


def _reference(field: Json) -> str | None:
    """Return the model that the field refers to, by itself or beside null."""
    for part in (field, *field.get("anyOf", ())):
        if "$ref" in part:
            return str(part["$ref"])
    return None


def _with_description(field: Json, models: Json) -> Json:
    """Return the field, with the description of its model where it has none of its own."""
    reference = _reference(field)
    if reference is None:
        return field
    return {"description": models[_name(reference)]["description"], **field}


def _name(reference: str) -> str:
    return reference.split("/")[-1]


def _table(fields: Json, path: str | None, told: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return a table of the fields of the mapping at `path`. Those that are mappings link to their own table.

    Without a path they have none, and what is said of the field says what is in it. `told` as in `_section`.
    """
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        key = f"`{name}`"
        if path is not None and ("oneOf" in field or _reference(field)):
            table = told.get(_name(_reference(field) or ""), f"{path}{name}")
            anchor = table.replace(".", "")
            key = f"[{key}](#{anchor})"
            kind = "mapping"
            default = "its own" if field.get("default") else default_of(field)
        else:
            kind = type_of({"type": "mapping", **field})
            default = default_of(field)
        meaning = _in_table(field["description"])
        lines.append(f"| {key} | {_in_table(kind)} | {_in_table(default)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _in_table(text: str) -> str:
    """Return the text as it stands in a table of Markdown: on one line, without bars of its own."""
    return _flat(text).replace("|", "\\|")


def _flat(text: str) -> str:
    return " ".join(text.split())


# --- the built-in plugins --------------------------------------------------------------------------------


def parameters_page() -> str:
    registry = Registry(builtins_only=True)
    parts = [
        "# Built-in plugins and their parameters\n",
        MADE.format("the plugins' docstrings") + "\n",
        "What `simssl show KIND NAME` prints of all that come with simssl, as it does of a plugin of yours.\n",
    ]
    for kind in KINDS:
        parts.append(f"## {scaffold.WORDS[kind].capitalize()}s\n")
        for name in registry.names(kind):
            parts += _plugin(name, registry.load(kind, name))
    return _page(parts)


def _page(parts: list[str]) -> str:
    return "\n".join(parts).rstrip("\n") + "\n"


def _plugin(name: str, plugin: type[Any]) -> Iterator[str]:
    yield f"### `{name}`\n"
    yield f"{_prose(inspect.getdoc(plugin) or '')}\n"
    fields = plugin.Params.model_json_schema().get("properties", {})
    yield _table(fields, None) if fields else "It has no parameters.\n"


# --- what an author subclasses ---------------------------------------------------------------------------


def api_page() -> str:
    parts = [
        "# What plugins are made of\n",
        MADE.format("simssl/api.py") + "\n",
        f"All of `simssl.api`, whose version is {api.VERSION}. {_prose(inspect.getdoc(api) or '')}\n",
    ]
    for name, member in vars(api).items():
        of_the_module = inspect.isclass(member) and member.__module__ == api.__name__
        if of_the_module and not name.startswith("_"):
            parts += _class(member)
    return _page(parts)


def _class(member: type[Any]) -> Iterator[str]:
    yield f"## `{member.__name__}`\n"
    yield f"{_prose(inspect.getdoc(member) or '')}\n"
    rows = list(_members(member))
    if rows:
        yield _meanings("| member | meaning |", rows)


def _members(member: type[Any]) -> Iterator[Row]:
    """Yield each field and method of a class as it is declared, and what is said of it, in the order of the source."""
    (body,) = ast.parse(inspect.getsource(member)).body
    assert isinstance(body, ast.ClassDef)
    following = [*body.body[1:], None]
    for node, after in zip(body.body, following, strict=True):
        if isinstance(node, ast.AnnAssign):
            yield ast.unparse(node), _string(after)
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            example = f"testing.md#{member.__name__.lower()}s"
            yield _declared(node), _without_code(ast.get_docstring(node) or "", example)


def _string(node: ast.stmt | None) -> str:
    """Return a string that stands by itself, which documents the field above it; "" for any other statement."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return str(node.value.value)
    return ""


def _declared(node: ast.FunctionDef) -> str:
    """Return a method with its arguments, or a property like a field."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Name) and decorator.id == "property":
            return f"{node.name}: {_returned(node)}"
    return _signature(node)


def _signature(node: ast.FunctionDef) -> str:
    returned = _returned(node)
    arrow = f" -> {returned}" if returned else ""
    return f"{node.name}({ast.unparse(node.args)}){arrow}"


def _returned(node: ast.FunctionDef) -> str:
    return ast.unparse(node.returns) if node.returns else ""


def _without_code(text: str, example: str) -> str:
    """Return a docstring without its block of code, which a table cannot hold.

    What remains ends before the sentence that leads to the code; a link to the example stands in its stead.
    """
    before, code, _ = text.partition("```")
    if not code:
        return text
    return re.sub(r"\s[^.]*:\s*\Z", f" [An example]({example}).", before)


def _meanings(head: str, rows: list[Row]) -> str:
    """Return a table of two columns below this head: code, and what it means."""
    lines = [head, "| --- | --- |"]
    for code, meaning in rows:
        lines.append(f"| `{_in_table(code)}` | {_in_table(meaning)} |")
    return "\n".join(lines) + "\n"


# --- what plugins are built from -------------------------------------------------------------------------


def blocks_page() -> str:
    parts = [
        "# What plugins are built from\n",
        MADE.format("simssl/blocks") + "\n",
        "The functions and classes of `simssl.blocks`, module by module. What a folder lists is imported from the "
        "folder (`from simssl.blocks.losses import nt_xent`), everything else from its module. What a class does "
        "beside being built is in its docstrings: `python -c 'help(\"simssl.blocks.networks.heads\")'`.\n",
    ]
    root = Path(blocks.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if file != root / "__init__.py":
            parts += _module(file, root)
    return _page(parts)


def _module(file: Path, root: Path) -> Iterator[str]:
    """Yield the part about a module; a folder's is the heading of those in it."""
    tree = ast.parse(file.read_text())
    path = file.relative_to(root.parents[1]).with_suffix("")
    name = ".".join(path.parts).removesuffix(".__init__")
    in_a_folder = name.count(".") == 3
    yield f"{'###' if in_a_folder else '##'} `{name}`\n"
    yield f"{_prose(ast.get_docstring(tree) or '')}\n"
    rows = list(_public(tree))
    if rows:
        yield _meanings("| | meaning |", rows)


def _public(tree: ast.Module) -> Iterator[Row]:
    """Yield each public function and class with its arguments, and the first paragraph of its docstring."""
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        declared = _signature(node) if isinstance(node, ast.FunctionDef) else _constructed(node)
        summary, _, _ = (ast.get_docstring(node) or "").partition("\n\n")
        yield declared, summary


def _constructed(node: ast.ClassDef) -> str:
    """Return a class with the arguments of its `__init__`, if it has one of its own."""
    for member in node.body:
        if isinstance(member, ast.FunctionDef) and member.name == "__init__":
            arguments = ast.unparse(member.args).removeprefix("self").removeprefix(", ")
            return f"{node.name}({arguments})"
    return node.name


def _prose(text: str) -> str:
    """Return a docstring as Markdown: indented lines are a block, marks of Markdown in the rest stay what they are."""
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            parts.append("```text\n" + inspect.cleandoc(paragraph) + "\n```")
        elif "`" in paragraph:
            parts.append(paragraph)
        else:
            parts.append(re.sub(r"(?<!`)([*_|<])(?!`)", r"\\\1", paragraph))
    return "\n\n".join(parts)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
