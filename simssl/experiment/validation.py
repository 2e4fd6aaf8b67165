"""Pydantic's errors in our words: each says what is wrong, where it stands, and what would be right."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from simssl.experiment.document import Document, ExperimentError, Keys, Place, Problem, describe
from simssl.experiment.params import Params

P = TypeVar("P", bound=Params)

_MESSAGES = {
    "int_type": "is a whole number",
    "int_from_float": "is a whole number",
    "float_type": "is a number",
    "bool_type": "is true or false",
    "string_type": "is a string",
    "finite_number": "is a finite number",
    "tuple_type": "is a list",
    "list_type": "is a list",
    "dict_type": "is a mapping",
    "model_type": "is a mapping",
    "model_attributes_type": "is a mapping",
    "greater_than": "is greater than {gt}",
    "greater_than_equal": "is at least {ge}",
    "less_than": "is less than {lt}",
    "less_than_equal": "is at most {le}",
    "literal_error": "is {expected}",
    "string_pattern_mismatch": "has letters, digits, '_', '.' and '-' alone, and begins with a letter or digit",
    "string_too_long": "has at most {max_length} characters",
    "too_short": "has at least {min_length} entries",
    "too_long": "has at most {max_length} entries",
}


def validate(model: type[P], tree: Mapping[str, Any], document: Document, path: Keys = ()) -> P:
    """The model of this tree, which stands at `path` in the document; ExperimentError lists all its errors.

    Validation goes through JSON, where pydantic's strict mode lets a list fill a tuple.
    """
    try:
        return model.model_validate_json(json.dumps(tree))
    except ValidationError as error:
        messages: dict[Place, dict[str, None]] = {}
        for details in error.errors(include_url=False):
            keys = details["loc"]
            place = document.place((*path, *keys), of_key=details["type"] == "extra_forbidden")
            messages.setdefault(place, {})[_message(dict(details), keys, model)] = None
        raise ExperimentError(Problem(place, "; or ".join(texts)) for place, texts in messages.items()) from None


def _message(details: dict[str, Any], keys: Keys, model: type[Params]) -> str:
    kind, context = details["type"], details.get("ctx", {})
    name = ".".join(str(part) for part in keys)
    if kind == "extra_forbidden":
        return unknown_key(str(keys[-1]), _fields_at(model, keys[:-1]))
    if kind == "missing":
        return f"the {'entry' if isinstance(keys[-1], int) else 'key'} '{name}' is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind in _MESSAGES:
        return f"'{name}' {_MESSAGES[kind].format(**context)}, not {describe(details['input'])}"
    return f"'{name}': {details['msg']}"


def _fields_at(model: type[Params], keys: Keys) -> list[str]:
    """The keys of the model at `keys`, through nested models and optional ones."""
    for key in keys:
        annotation = model.model_fields[str(key)].annotation if str(key) in model.model_fields else None
        nested = [a for a in (annotation, *get_args(annotation)) if isinstance(a, type) and issubclass(a, Params)]
        model = nested[0] if nested else model
    return list(model.model_fields)


def unknown_key(key: str, known: Iterable[str]) -> str:
    return f"unknown key '{key}'{suggestion(key, known)}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """ "; did you mean ...?" or, if nothing is near, what there is."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; the keys here are {', '.join(known)}" if known else "; no keys are known here"
