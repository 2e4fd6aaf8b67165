"""An archive: measured runs, whole, as the lines of a CSV file, from which a report makes the same tables again.

A run's numbers stand in columns of their own, named by their keys, and where and how it was made beside them, for
readers. The other columns hold JSON: its settings, its metrics but for their values, what else is known of it, and what
it measured while it trained. A protocol stands there once, and metrics have its number.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simssl.blocks.files import read_within, write_whole
from simssl.errors import SimsslError, UserError
from simssl.report.history import history_of, numbers_in, packed, unpacked
from simssl.report.runs import Run, environment_of
from simssl.report.settings import check_settings
from simssl.store.files import check_plain
from simssl.store.metrics import Entry, facts_in, is_entry, mapping_under

SUFFIX = ".csv"

MOST = 2**28
"""Most bytes of an archive."""

SHOWN = 40
"""Most characters of a line that a message shows."""

TOLD = ("run", "experiment", "objective", "seed", "simssl", "git", "device", "precision", "seconds")
"""The columns for readers: the run's folder, and what trained it, for how long."""

WHOLE = ("settings", "metrics", "about")
"""The columns of JSON. An empty `about` stands for the one above."""

HISTORY = "history"
"""One more, which is there if a run has measured something while it trained, and empty for those that have not."""

MOST_MEASURED = 2_000_000
"""Most numbers of an archive that were measured while runs trained."""


def check_archive_target(path: Path) -> None:
    """UserError, before anything is read, if an archive of this name would replace another file, or not be known."""
    if path.suffix != SUFFIX:
        raise UserError(f"{path} does not end in {SUFFIX}, by which simssl report knows an archive; name another file")
    if path.is_file() and path.stat().st_size and not is_archive(path):
        raise UserError(f"{path} is there already and is no archive of runs; name another file with --archive")


def is_archive(path: Path) -> bool:
    """True if the file begins as an archive does."""
    with path.open("rb") as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


_BEGINNING = ",".join(TOLD).encode()


# --- writing


def write_archive(path: Path, runs: Sequence[Run]) -> int:
    """Write the runs that are measured, in their order, and return their number. UserError if there is none."""
    measured = [run for run in runs if run.status == "measured"]
    if not measured:
        raise UserError(f"no run is measured, so that {path} would be empty")
    keys = dict.fromkeys(key for run in measured for key, entry in run.metrics.items() if "value" in entry)
    histories = _histories(path, measured)
    text = io.StringIO()
    last = [HISTORY] if any(histories) else []
    writer = csv.DictWriter(text, [*TOLD, *keys, *WHOLE, *last], lineterminator="\n")
    writer.writeheader()
    above = ""
    for run, history in zip(measured, histories, strict=True):
        line = _line(run)
        if last:
            line[HISTORY] = history
        about = line["about"]
        line["about"] = "" if about == above else about
        above = about
        writer.writerow(line)
    write_whole(path, text.getvalue().encode())
    return len(measured)


def _histories(path: Path, runs: Sequence[Run]) -> list[str]:
    """What each run has measured while it trained, as JSON; empty for those that have nothing. UserError if it is more
    than an archive may hold."""
    texts = []
    numbers = 0
    for run in runs:
        moments = history_of(run)
        numbers += numbers_in(moments)
        texts.append(json.dumps(packed(moments, run.metrics), separators=(",", ":")) if moments else "")
    if numbers > MOST_MEASURED:
        raise UserError(
            f"the runs have measured {numbers:,} numbers while they trained, and an archive holds at most "
            f"{MOST_MEASURED:,}; write {path} of fewer runs"
        )
    return texts


def _line(run: Run) -> dict[str, Any]:
    values = {key: json.dumps(entry["value"]) for key, entry in run.metrics.items() if "value" in entry}
    facts = {"family": run.family, "roles": run.roles, "about": run.about}
    return {
        **_told(run),
        **values,
        "settings": json.dumps(run.settings),
        "metrics": json.dumps(_without_values(run.metrics)),
        "about": json.dumps(facts),
    }


def _without_values(metrics: Mapping[str, Entry]) -> dict[str, Any]:
    """The entries of the metrics without their values, and the protocols that they have the numbers of."""
    protocols: dict[str, int] = {}
    entries = {}
    for key, entry in metrics.items():
        entries[key] = dict(entry)
        if "value" in entry:
            text = json.dumps(entry["protocol"])
            number = protocols.setdefault(text, len(protocols))
            entries[key] |= {"value": None, "protocol": number}
    return {"protocols": [json.loads(text) for text in protocols], "entries": entries}


def _told(run: Run) -> dict[str, Any]:
    """What stands there for readers alone."""
    settings = run.settings
    told = {"experiment": settings["name"], "objective": settings["objective"]["name"], "seed": settings["seed"]}
    if run.path is None:
        return {**run.told, **told}
    facts = mapping_under("training", environment_of(run))
    made = {key: facts.get(key) for key in ("simssl", "git", "device", "precision")}
    return {"run": run.path.name, **told, **made, "seconds": mapping_under("times", facts).get("seconds")}


# --- reading


def read_archive(path: Path) -> list[Run]:
    """The runs of an archive, in its order; UserError says which line is wrong."""
    try:
        text = read_within(path, MOST).decode()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path} cannot be read ({error})") from error
    csv.field_size_limit(MOST)
    lines = csv.DictReader(io.StringIO(text, newline=""))
    lacking = [name for name in (*TOLD[:4], *WHOLE) if name not in (lines.fieldnames or ())]
    if lacking:
        raise UserError(
            f"{path} is no archive of runs: it has no column {lacking[0]}; simssl report --archive makes one"
        )
    runs = []
    above = ""
    numbers = 0
    try:
        for line in lines:
            above = line["about"] or above
            run = _run({**line, "about": above}, f"{path}:{lines.line_num}")
            numbers += numbers_in(run.history)
            if numbers > MOST_MEASURED:
                raise UserError(
                    f"{path}:{lines.line_num}: more than {MOST_MEASURED:,} numbers were measured while runs trained; "
                    "make archives of fewer runs"
                )
            runs.append(run)
    except csv.Error as error:
        raise UserError(f"{path}:{lines.line_num}: {error}; make the archive again") from error
    return runs


def _run(line: Mapping[str, str | None], where: str) -> Run:
    """The run in a line."""
    try:
        settings, metrics, facts = (_json(line, name) for name in WHOLE)
        check_settings(settings)
        protocols, entries = metrics.get("protocols"), metrics.get("entries")
        if not isinstance(protocols, list) or not isinstance(entries, dict):
            raise ValueError("metrics has no list of protocols and no mapping of entries")
        whole = {key: _entry(key, entry, line, protocols) for key, entry in entries.items()}
        history = unpacked(_json(line, HISTORY), whole) if line.get(HISTORY) else []
        named = settings["name"], settings["objective"]["name"], str(settings["seed"])
        if named != (line["experiment"], line["objective"], line["seed"]):
            raise ValueError("experiment, objective and seed are not those of its settings")
    except (ValueError, SimsslError, RecursionError) as error:
        raise UserError(f"{where}: the line is damaged ({error}); make the archive again") from error
    told = {key: line.get(key) for key in TOLD}
    return Run(settings, whole, told=told, history=history, **facts_in(facts))


def _json(line: Mapping[str, str | None], name: str) -> dict[str, Any]:
    try:
        value = json.loads(line[name] or "")
    except ValueError as error:
        raise ValueError(f"{name} is no JSON") from error
    check_plain(value)
    if not isinstance(value, dict):
        raise ValueError(f"{name} is no mapping")
    return value


def _entry(key: str, entry: Any, line: Mapping[str, str | None], protocols: Sequence[Any]) -> Entry:
    """An entry of the metrics, with its value and its protocol in their places."""
    whole = entry
    if isinstance(entry, dict) and "value" in entry:
        text = line.get(key) or ""
        try:
            whole = {**entry, "value": json.loads(text), "protocol": protocols[entry["protocol"]]}
        except ValueError as error:
            raise ValueError(f"{key} is no number but '{text[:SHOWN]}'") from error
        except (LookupError, TypeError) as error:
            raise ValueError(f"{key} has no protocol") from error
    if not is_entry(key, whole):
        raise ValueError(f"{key} is no metric")
    return whole
