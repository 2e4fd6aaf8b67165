"""What was compared: data, views, networks, budget, methods and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simssl.report import words
from simssl.report.page.elements import Html, facts, folded, joined, tag
from simssl.report.runs import settings_of
from simssl.report.table import Row


def lead(rows: Sequence[Row]) -> Html:
    """One sentence."""
    data = words.several(list(dict.fromkeys(row.settings["dataset"]["name"] for row in rows)))
    methods = words.count(len({row.objective for row in rows}), "method")
    return tag(
        "p", f"{methods} on {data}: what of an image does each keep, and what does it throw away?", class_="lead"
    )


def compared(rows: Sequence[Row], level: int) -> Html:
    """What the rows share, and, folded, in which settings they differ."""
    pairs = [
        ("Data", _shared(rows, "dataset", words.plugin)),
        ("Views", _shared(rows, "views", lambda views: words.settings(views) or "the images as they are")),
        ("Networks", _networks(rows)),
        ("Budget", _shared(rows, "training", _budget)),
        ("Methods", _methods(rows)),
        ("Seeds", _seeds(rows)),
    ]
    return joined([facts(pairs), _settings(rows, level + 1)])


def _shared(rows: Sequence[Row], part: str, tell: Any) -> str:
    told = list(dict.fromkeys(tell(row.settings[part]) for row in rows))
    return told[0] if len(told) == 1 else f"{'; or '.join(told)}, by method"


def _networks(rows: Sequence[Row]) -> str:
    dimensions = _shared(rows, "latent_dim", str)
    return f"{_shared(rows, 'backbone', words.plugin)}; {dimensions} latent dimensions"


def _budget(training: Mapping[str, Any]) -> str:
    length = "epochs" if training.get("epochs") else "views"
    batch = training.get("batch_views")
    of = f", {batch:,} views a step" if isinstance(batch, int) else ""
    return f"{training.get(length, 0):,} {length}{of}"


def _methods(rows: Sequence[Row]) -> str:
    families: dict[str | None, list[str]] = {}
    for row in rows:
        families.setdefault(row.family, []).append(row.label)
    if set(families) == {None}:
        return ", ".join(families[None])
    return "; ".join(f"{family or 'not known yet'}: {', '.join(labels)}" for family, labels in families.items())


def _seeds(rows: Sequence[Row]) -> str:
    seeds = sorted({run.settings["seed"] for row in rows for run in row.members})
    runs = [run for row in rows for run in row.members]
    done, of = sum(run.status == "measured" and not run.lacking for run in runs), len(runs)
    finished = "all runs are measured" if done == of else f"{done} of {of} runs are measured"
    return f"{', '.join(map(str, seeds))}; {finished}"


def _settings(rows: Sequence[Row], level: int) -> Html:
    """Every setting: once where all rows share it, else beside each method."""
    flat = [settings_of(row.members[0]) for row in rows]
    keys = dict.fromkeys(key for own in flat for key in own if not key.startswith("objective."))
    shared = [key for key in keys if all(own.get(key) == flat[0].get(key) for own in flat)]
    methods = [(row.label, _own(own, shared)) for row, own in zip(rows, flat, strict=True)]
    same = [(key, words.value(flat[0][key])) for key in shared if flat[0][key] is not None]
    parts = [("Of each method", methods), ("Of all methods", same)]
    return folded("Every setting", *(joined([tag(f"h{level}", name), facts(told)]) for name, told in parts))


def _own(settings: Mapping[str, Any], shared: Sequence[str]) -> str:
    own = {k: v for k, v in settings.items() if k not in shared and k != "objective.name" and v is not None}
    told = [f"{key.removeprefix('objective.')} {words.value(item)}" for key, item in own.items()]
    return "; ".join(told) or "nothing to set"
