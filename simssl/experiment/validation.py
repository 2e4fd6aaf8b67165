"""Pydantic's errors in our words: each names its position, what is wrong, and what would be right."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from simssl.blocks.messages import nearest
from simssl.experiment.document import Document, ExperimentError, Keys, Problem, describe
from simssl.params import Params

P = TypeVar("P", bound=Params)

_MUST_BE = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "union_tag_not_found": "a mapping",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-', beginning with a letter or digit",
    "string_too_long": "at most {max_length} characters long",
    "too_short": "a list with at least {min_length} of them",
    "too_long": "a list with at most {max_length} of them",
}


LIMIT = 2**63
"""The first whole number that is too large for a tensor."""


def validate(model: type[P], tree: Mapping[str, Any], document: Document, path: Keys = ()) -> P:
    """Return the model of this tree, which stands at `path` in the document; ExperimentError lists all its errors.

    Validation goes through JSON, where pydantic's strict mode lets a list fill a tuple. A whole number may be written
    as 1e3.
    """
    try:
        params = model.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        rewritten = _with_whole_numbers(error, tree)
        if rewritten is not None:
            return validate(model, rewritten, document, path)
        raise ExperimentError(_problems(error, model, tree, document, path)) from None
    problems = [document.problem((*path, *keys), message) for keys, message in _too_large(tree)]
    if problems:
        raise ExperimentError(problems)
    return params


def _with_whole_numbers(error: ValidationError, tree: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The tree with whole numbers where they were wanted and written as 1e3; None if there are none."""
    rewritten = copy.deepcopy(tree)
    found = False
    for details in error.errors(include_url=False):
        keys = _keys(details, tree)
        if details["type"] not in ("int_type", "int_from_float") or not keys:
            continue
        *around, last = keys
        branch: Any = rewritten
        for key in around:
            branch = branch[key]
        value = branch[last]
        if isinstance(value, float) and value.is_integer():
            branch[last] = int(value)
            found = True
    return rewritten if found else None


def _too_large(tree: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """The whole numbers that no tensor holds, each by its keys with what is wrong."""
    if isinstance(tree, int) and abs(tree) >= LIMIT:
        name = ".".join(map(str, keys))
        yield keys, f"'{name}' must be a whole number below 2^63, about 9e18"
    branches: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, Mapping):
        branches = tree.items()
    elif isinstance(tree, list):
        branches = enumerate(tree)
    for key, branch in branches:
        yield from _too_large(branch, (*keys, key))


def _problems(
    error: ValidationError, model: type[Params], tree: Mapping[str, Any], document: Document, path: Keys
) -> list[Problem]:
    """One problem for each position. Where a value may be of several types, those nearest to fitting are told."""
    errors_at: dict[Keys, list[Any]] = {}
    for details in error.errors(include_url=False):
        keys = _keys(details, tree)
        errors_at.setdefault(keys, []).append(details)
    problems = []
    for keys, errors in errors_at.items():
        if _is_around_another(keys, errors_at):
            continue
        here = (*path, *keys)
        message = _message(errors, keys, model, tree)
        of_key = errors[0]["type"] == "extra_forbidden"
        problems.append(document.problem(here, message, of_key))
    return problems


def _is_around_another(keys: Keys, all_keys: Iterable[Keys]) -> bool:
    """True if another of the positions lies below `keys`; the whole document counts as around nothing."""
    depth = len(keys)
    if depth == 0:
        return False
    below = [other for other in all_keys if len(other) > depth]
    return any(other[:depth] == keys for other in below)


def _keys(details: Any, tree: Any) -> Keys:
    """Pydantic's location without the names of types that it adds where a value may be of several."""
    location = details["loc"]
    keys: list[str | int] = []
    for part in location:
        if _is_in(tree, part):
            tree = tree[part]
            keys.append(part)
        elif details["type"] == "missing" and part == location[-1]:
            keys.append(part)
    if details["type"] == "union_tag_invalid":
        keys.append("name")
    return tuple(keys)


def _is_in(tree: Any, part: str | int) -> bool:
    if isinstance(tree, dict):
        return part in tree
    return isinstance(tree, list) and part in range(len(tree))


def _message(errors: list[Any], keys: Keys, model: type[Params], tree: Any) -> str:
    """One sentence that says what is wrong at one position."""
    first = errors[0]
    kind = first["type"]
    name = ".".join(map(str, keys))
    if kind == "extra_forbidden":
        *around, key = keys
        return unknown_key(str(key), _fields_at(model, around, tree))
    if kind == "missing":
        what = "entry" if isinstance(keys[-1], int) else "key"
        return f"the {what} '{name}' is missing"
    if kind == "value_error":
        return str(first["ctx"]["error"])
    if kind == "union_tag_invalid":
        tags = first["ctx"]["expected_tags"]
        allowed = " or ".join(tags.rsplit(", ", 1))
        came = describe(first["input"]["name"])
        return f"'{name}' must be {allowed}, not {came}"
    if kind not in _MUST_BE:
        return f"'{name}': {first['msg']}"
    expected: list[str] = []
    for details in errors:
        if details["type"] not in _MUST_BE:
            continue
        words = _MUST_BE[details["type"]]
        limits = details.get("ctx", {})
        expected.append(words.format(**limits))
    value = first["input"]
    came = describe(value)
    if isinstance(value, list):
        came = f"a list of {len(value)}"
    alternatives = " or ".join(dict.fromkeys(expected))
    return f"'{name}' must be {alternatives}, not {came}"


def _fields_at(model: type[Params], keys: Iterable[str | int], tree: Any) -> list[str]:
    """The keys of the model at `keys`, through nested models, optional ones and those told apart by `name`."""
    for key in keys:
        tree = tree[key]
        field = model.model_fields.get(str(key))
        nested = _models(field.annotation) if field else []
        called_so = [candidate for candidate in nested if _is_called(candidate, tree)]
        if called_so:
            model = called_so[0]
        elif nested:
            model = nested[0]
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[Params]]:
    """The models in an annotation, such as `Crop | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Params):
        return [annotation]
    models = []
    for part in get_args(annotation):
        models += _models(part)
    return models


def _is_called(model: type[Params], tree: Any) -> bool:
    """True for a model whose `name` may be that of the tree."""
    field = model.model_fields.get("name")
    if field is None or not isinstance(tree, dict):
        return False
    names = get_args(field.annotation)
    return tree.get("name") in names


def unknown_key(key: str, known: Iterable[str]) -> str:
    return f"unknown key '{key}'{suggestion(key, known)}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean ...?" or, if nothing is near, the words that are known."""
    known = sorted(known)
    near = nearest(word, known)
    if near:
        return f"; did you mean '{near}'?"
    if known:
        return f"; the keys here are {', '.join(known)}"
    return "; no keys are known here"
