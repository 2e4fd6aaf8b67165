"""Pydantic's errors in our words: each says what is wrong, where it stands, and what would be right."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

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


def validate(model: type[P], tree: Mapping[str, Any], document: Document, path: Keys = ()) -> P:
    """The model of this tree, which stands at `path` in the document; ExperimentError lists all its errors.

    Validation goes through JSON, where pydantic's strict mode lets a list fill a tuple.
    """
    try:
        return model.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        raise ExperimentError(_problems(error, model, tree, document, path)) from None


def _problems(
    error: ValidationError, model: type[Params], tree: Mapping[str, Any], document: Document, path: Keys
) -> list[Problem]:
    """One problem for each position; where a value may be of several types, those nearest to fitting are told."""
    by_keys: dict[Keys, list[Any]] = {}
    for details in error.errors(include_url=False):
        by_keys.setdefault(_keys(details, tree), []).append(details)
    deepest = [keys for keys in by_keys if not any(other[: len(keys)] == keys != other for other in by_keys if keys)]
    return [
        Problem(
            document.position((*path, *keys), of_key=by_keys[keys][0]["type"] == "extra_forbidden"),
            _message(by_keys[keys], keys, model, tree),
        )
        for keys in deepest
    ]


def _keys(details: Any, tree: Any) -> Keys:
    """Pydantic's location without the names of types that it adds where a value may be of several."""
    keys: list[str | int] = []
    for part in details["loc"]:
        inside = part in tree if isinstance(tree, dict) else isinstance(tree, list) and part in range(len(tree))
        if inside:
            tree = tree[part]
        if inside or (details["type"] == "missing" and part == details["loc"][-1]):
            keys.append(part)
    return (*keys, "name") if details["type"] == "union_tag_invalid" else tuple(keys)


def _message(errors: list[Any], keys: Keys, model: type[Params], tree: Any) -> str:
    """What is wrong at one position, in one sentence."""
    first, name = errors[0], ".".join(str(part) for part in keys)
    if first["type"] == "extra_forbidden":
        return unknown_key(str(keys[-1]), _fields_at(model, keys[:-1], tree))
    if first["type"] == "missing":
        return f"the {'entry' if isinstance(keys[-1], int) else 'key'} '{name}' is missing"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "union_tag_invalid":
        allowed = " or ".join(first["ctx"]["expected_tags"].rsplit(", ", 1))
        return f"'{name}' must be {allowed}, not {describe(first['input']['name'])}"
    if first["type"] not in _MUST_BE:
        return f"'{name}': {first['msg']}"
    kinds = (_MUST_BE[e["type"]].format(**e.get("ctx", {})) for e in errors if e["type"] in _MUST_BE)
    value = first["input"]
    came = f"a list of {len(value)}" if isinstance(value, list) else describe(value)
    return f"'{name}' must be {' or '.join(dict.fromkeys(kinds))}, not {came}"


def _fields_at(model: type[Params], keys: Keys, tree: Any) -> list[str]:
    """The keys of the model at `keys`, through nested models, optional ones and those told apart by `name`."""
    for key in keys:
        tree = tree[key]
        annotation = model.model_fields[str(key)].annotation if str(key) in model.model_fields else None
        nested = _models(annotation)
        model = next((a for a in nested if _is_called(a, tree)), nested[0] if nested else model)
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[Params]]:
    if isinstance(annotation, type) and issubclass(annotation, Params):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _is_called(model: type[Params], tree: Any) -> bool:
    name = model.model_fields.get("name")
    return name is not None and isinstance(tree, dict) and tree.get("name") in get_args(name.annotation)


def unknown_key(key: str, known: Iterable[str]) -> str:
    return f"unknown key '{key}'{suggestion(key, known)}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" or, if nothing is near, what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; the keys here are {', '.join(known)}" if known else "; no keys are known here"
