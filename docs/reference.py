"""The pages that are made from the code: python docs/reference.py writes them again.

`experiment.md` between its two marks (the keys, from the pydantic models), `parameters.md` (the built-in plugins', as
`simssl show` prints them), `api.md` (what a plugin's author subclasses, from `simssl.api`) and `blocks.md` (what
plugins are built from, `simssl.blocks`).
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simssl import api, blocks
from simssl.experiment.config import ABOUT, DEFAULTS, MANY, ONE
from simssl.experiment.describe import default_of, type_of
from simssl.experiment.model import Core
from simssl.plugin.registry import KINDS, Registry
from simssl.scaffold import WORDS

DOCS = Path(__file__).parent
MADE = "<!-- Made by python docs/reference.py from {}; change it there. -->"
KEYS = MADE.format("simssl/experiment"), "<!-- End of what is made. -->"


def pages() -> dict[Path, str]:
    """The text of each page, as it should be."""
    experiment = DOCS / "experiment.md"
    before, _, rest = experiment.read_text().partition(KEYS[0])
    _, _, after = rest.partition(KEYS[1])
    return {
        experiment: f"{before}{KEYS[0]}\n\n{keys()}\n{KEYS[1]}{after}",
        DOCS / "parameters.md": parameters(),
        DOCS / "api.md": api_page(),
        DOCS / "blocks.md": blocks_page(),
    }


# --- the keys of an experiment file ----------------------------------------------------------------------


def keys() -> str:
    schema = Core.model_json_schema()
    models = schema["$defs"]
    fields = schema["properties"]
    plugins = {key: {"type": "mapping", "description": ABOUT[key]} for key in ONE}
    plugins |= {
        key: {"type": "list", "default": ", ".join(DEFAULTS[key]) or None, "description": ABOUT[key]} for key in MANY
    }
    plugins["grid"] = {"type": "mapping", "default": None, "description": ABOUT["grid"]}
    order = ("name", "dataset", "views", "backbone", "latent_dim", "objective", "training", "evaluators", "trackers")
    together = fields | plugins
    parts = [_table({key: together[key] for key in (*order, "seed", "grid")}, "")]
    for section in ("views", "training"):
        parts += _section(section, fields[section]["$ref"], models)
    return "\n".join(parts)


def _section(path: str, reference: str, models: dict[str, Any]) -> Iterator[str]:
    """A heading and a table for the mapping at `path`, then for those within it."""
    model = models[_name(reference)]
    model["properties"] = {name: _meant(field, models) for name, field in model["properties"].items()}
    yield f"### `{path}`\n"
    yield f"{_flat(model['description'])}\n"
    yield _table(model["properties"], path)
    for name, inner in model["properties"].items():
        below = f"{path}.{name}"
        if variants := _tagged(inner, models):
            yield f"### `{below}`\n"
            own = "It takes the parameters of the one that `name` names, and no others."
            yield f"{_flat(inner['description'])} {own}\n"
            for variant, where in variants.items():
                one = models[_name(where)]
                yield f"#### `{below}: {{name: {variant}}}`\n"
                yield f"{_flat(one['description'])}\n"
                yield _table({key: value for key, value in one["properties"].items() if key != "name"}, below)
        elif found := _reference(inner):
            yield from _section(below, found, models)


def _tagged(field: dict[str, Any], models: dict[str, Any]) -> dict[str, str]:
    """The alternatives of a field that are told apart by their `name`."""
    references = [part["$ref"] for part in field.get("oneOf", ())]
    return {models[_name(where)]["properties"]["name"]["const"]: where for where in references}


def _reference(field: dict[str, Any]) -> str | None:
    found = [part["$ref"] for part in (field, *field.get("anyOf", ())) if "$ref" in part]
    return found[0] if found else None


def _meant(field: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """The field with the description of its model, where it has none of its own."""
    found = _reference(field)
    return {"description": models[_name(found)]["description"], **field} if found else field


def _name(reference: str) -> str:
    return reference.split("/")[-1]


def _table(fields: dict[str, Any], path: str) -> str:
    lines = ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    for name, field in fields.items():
        below = f"{path}.{name}".lstrip(".")
        mapping = "oneOf" in field or _reference(field)
        key = f"[`{name}`](#{below.replace('.', '')})" if mapping else f"`{name}`"
        kind = "mapping" if mapping else type_of({**field, "type": field.get("type", "mapping")})
        default = "its own" if mapping and field.get("default") else default_of(field)
        lines.append(f"| {key} | {_cell(kind)} | {_cell(default)} | {_cell(field['description'])} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return _flat(text).replace("|", "\\|")


def _flat(text: str) -> str:
    return " ".join(text.split())


# --- the built-in plugins --------------------------------------------------------------------------------


def parameters() -> str:
    registry = Registry(builtins_only=True)
    lines = [
        "# Built-in plugins and their parameters\n",
        MADE.format("the plugins' docstrings") + "\n",
        "What `simssl show KIND NAME` prints of all that come with simssl, as it does of a plugin of yours.\n",
    ]
    for kind in KINDS:
        lines.append(f"## {WORDS[kind].capitalize()}s\n")
        for name in registry.names(kind):
            lines += _plugin(name, registry.load(kind, name))
    return "\n".join(lines).rstrip("\n") + "\n"


def _plugin(name: str, plugin: type[Any]) -> Iterator[str]:
    yield f"### `{name}`\n"
    yield f"{_prose(inspect.getdoc(plugin) or '')}\n"
    fields = plugin.Params.model_json_schema().get("properties", {})
    yield _table(fields, "") if fields else "It has no parameters.\n"


# --- what an author subclasses ---------------------------------------------------------------------------


def api_page() -> str:
    lines = [
        "# What plugins are made of\n",
        MADE.format("simssl/api.py") + "\n",
        f"All of `simssl.api`, whose version is {api.VERSION}. {_prose(inspect.getdoc(api) or '')}\n",
    ]
    for name, member in vars(api).items():
        if inspect.isclass(member) and member.__module__ == api.__name__ and not name.startswith("_"):
            lines += _class(name, member)
    return "\n".join(lines).rstrip("\n") + "\n"


def _class(name: str, member: type[Any]) -> Iterator[str]:
    yield f"## `{name}`\n"
    yield f"{_prose(inspect.getdoc(member) or '')}\n"
    tree = _documented(member)
    if tree:
        yield "| member | meaning |\n| --- | --- |"
        yield "\n".join(f"| `{_cell(what)}` | {_cell(meaning)} |" for what, meaning in tree) + "\n"


def _documented(member: type[Any]) -> list[tuple[str, str]]:
    """Each field and method of a class as it is declared, and what is said of it, in the order of the source."""
    (body,) = ast.parse(inspect.getsource(member)).body
    assert isinstance(body, ast.ClassDef)
    rows = []
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            said = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            rows.append((ast.unparse(node), str(said)))
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            asked = any(isinstance(d, ast.Name) and d.id == "property" for d in node.decorator_list)
            call = f"{node.name}: {_returns(node)[4:]}" if asked else _call(node)
            example = f"testing.md#{member.__name__.lower()}s"
            rows.append((call, _without_code(ast.get_docstring(node) or "", example)))
    return rows


def _call(node: ast.FunctionDef) -> str:
    return f"{node.name}({ast.unparse(node.args)}){_returns(node)}"


def _returns(node: ast.FunctionDef) -> str:
    return f" -> {ast.unparse(node.returns)}" if node.returns else ""


def _without_code(text: str, example: str) -> str:
    """A docstring for a cell of a table, which holds no block: up to the sentence before its code, with a link."""
    before, code, _ = text.partition("```")
    return re.sub(r"\s[^.]*:\s*\Z", f" [An example]({example}).", before) if code else text


# --- what plugins are built from -------------------------------------------------------------------------


def blocks_page() -> str:
    lines = [
        "# What plugins are built from\n",
        MADE.format("simssl/blocks") + "\n",
        "The functions and classes of `simssl.blocks`, module by module. What a class does beside being built is in "
        "its docstrings: `python -c 'help(\"simssl.blocks.networks.heads\")'`.\n",
    ]
    root = Path(blocks.__file__).parent
    for file in sorted(root.rglob("*.py")):
        if file == root / "__init__.py":
            continue
        lines += _module(file, root)
    return "\n".join(lines).rstrip("\n") + "\n"


def _module(file: Path, root: Path) -> Iterator[str]:
    """The part about a module; a folder's is the heading of those in it."""
    tree = ast.parse(file.read_text())
    parts = file.relative_to(root.parents[1]).with_suffix("").parts
    level = "##" if len(parts) == 3 or parts[-1] == "__init__" else "###"
    yield f"{level} `{'.'.join(parts).removesuffix('.__init__')}`\n"
    yield f"{_prose(ast.get_docstring(tree) or '')}\n"
    rows = list(_public(tree))
    if rows:
        yield "| | meaning |\n| --- | --- |"
        yield "\n".join(f"| `{_cell(what)}` | {_cell(said)} |" for what, said in rows) + "\n"


def _public(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each public function with its arguments, each class with those of its `__init__`, and the first paragraph."""
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith("_"):
            continue
        said = (ast.get_docstring(node) or "").partition("\n\n")[0]
        yield (_call(node) if isinstance(node, ast.FunctionDef) else _building(node)), said


def _building(node: ast.ClassDef) -> str:
    """A class with the arguments of its `__init__`, if it has one of its own."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
            return f"{node.name}({ast.unparse(inner.args).removeprefix('self').removeprefix(', ')})"
    return node.name


def _prose(text: str) -> str:
    """A docstring as Markdown: indented lines become a block, marks of Markdown in the rest stay what they are."""
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("    "):
            parts.append("```text\n" + inspect.cleandoc(paragraph) + "\n```")
        else:
            parts.append(re.sub(r"(?<!`)([*_|<])(?!`)", r"\\\1", paragraph) if "`" not in paragraph else paragraph)
    return "\n\n".join(parts)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
