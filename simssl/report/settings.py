"""Whether settings are those of a run, as far as a report reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from simssl.store.files import check_plain


def check_settings(settings: Mapping[str, Any]) -> None:
    """ValueError if these are not the settings of a run."""
    check_plain(settings)
    wrong = []
    for key, fits in _FITS.items():
        value = settings.get(key)
        if not fits(value):
            wrong.append(key)
    if wrong:
        keys = ", ".join(wrong)
        raise ValueError(f"{keys} is missing or no run's")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _names_plugin(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str)


def _lists_plugins(value: Any) -> bool:
    return isinstance(value, list) and all(map(_names_plugin, value))


def _are_positives_or_none(value: Any) -> bool:
    if value is None:
        return True
    share = value.get("share") if isinstance(value, dict) else None
    return isinstance(share, list) and bool(share) and all(map(_is_text, share))


def _are_modalities_or_none(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict):
        return False
    networks = [modality.get("backbone") if isinstance(modality, dict) else None for modality in value.values()]
    return all(map(_names_plugin, networks))


def _is_selection_or_none(value: Any) -> bool:
    return value is None or (_is_mapping(value) and _names_plugin(value.get("evaluator")))


_FITS: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "seed": _is_whole_number,
    "evaluators": _lists_plugins,
    "latent_dim": _is_whole_number,
    "views": _is_mapping,
    "training": _is_mapping,
    "dataset": _names_plugin,
    "backbone": _names_plugin,
    "objective": _names_plugin,
    "positives": _are_positives_or_none,
    "modalities": _are_modalities_or_none,
    "selection": _is_selection_or_none,
}
"""The keys of a run's experiment.yaml that a report reads, each with a test of its value."""
