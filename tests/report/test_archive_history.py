"""What runs measured while they trained, in an archive: the page has the same curves as from the folders."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import metric
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated
from reports import KNN, STYLE, Command, Write

from simssl.report import archive
from simssl.report.archive import read_archive
from simssl.report.history import packed, unpacked
from simssl.store.folder import RunFolder
from simssl.store.history import Moment, add_moment, read_history

FACTS = {"family": "generative", "roles": {"class": "content", "crop_x": "style"}}
VIEWS = (0, 10, 100, 1000, 10_000)
REAL = 1 / 3


def chosen(value: float, k: int) -> dict[str, Any]:
    """A number that was measured with a k that held-out images chose, by a long protocol."""
    how = "k on the last tenth of train; then all of train votes"
    return {**metric(value, selection=how, selected={"k": k}), "held_out": value - 0.01}


def moments(shift: float) -> list[Moment]:
    """Content that rises and style that falls; in the beginning without one of two factors."""
    found = []
    for number, views in enumerate(VIEWS):
        style = metric(0.5 - REAL * shift - 0.1 * number, role="style")
        entries = {KNN: chosen(0.5 + REAL * shift + 0.1 * number, number), STYLE: style, "style_probe/crop_x/R2": style}
        if number == 0:
            entries["decoder"] = {"skipped": "it has no decoder", "evaluator": {"name": "decoder"}}
        if number:
            entries["style_probe/hue/R2"] = style
        found.append(Moment(views // 10, views, entries))
    return found


@pytest.fixture
def folder(run: Write, tmp_path: Path) -> Path:
    """Two methods of two seeds, measured while they trained, and one that was not."""
    for number, name in enumerate(("vae", "simvae")):
        for seed in (0, 1):
            last = {KNN: chosen(0.9, 3), STYLE: metric(0.1, role="style")}
            path = run(f"{name}{seed}", last, facts=FACTS, objective={"name": name}, seed=seed)
            for moment in moments(0.01 * seed + 0.1 * number):
                add_moment(RunFolder(path), moment)
    run("random0", {KNN: metric(0.3)}, objective={"name": "random"})
    return tmp_path / "runs"


@pytest.fixture
def written(folder: Path, simssl: Command) -> Path:
    result = simssl("report", folder, "--archive", "a.csv")
    assert result.exit_code == 0, result.stderr
    return Path("a.csv")


def while_it_trained(page: Path) -> str:
    (section,) = re.findall(r"<h\d>While it trained</h\d>.*?(?=<h2>)", page.read_text(), re.DOTALL)
    return section


def test_the_page_has_the_curves_of_the_folders(folder: Path, written: Path, simssl: Command) -> None:
    for source, page in ((folder, "folders.html"), (written, "archive.html")):
        assert simssl("report", source, "--html", page).exit_code == 0
    ours = while_it_trained(Path("archive.html"))
    assert ours == while_it_trained(Path("folders.html"))
    assert ours.count('class="curve') == 8
    assert ours.index("Content, by knn/") < ours.index("Style, by style_probe/R2")


def test_the_numbers_are_the_same_to_the_last_bit(folder: Path, written: Path) -> None:
    for run in read_archive(written):
        recorded = read_history(RunFolder(folder / run.told["run"]))
        assert len(run.history) == len(recorded) == (0 if "random" in run.source else len(VIEWS))
        for ours, theirs in zip(run.history, recorded, strict=True):
            assert (ours.step, ours.views) == (theirs.step, theirs.views)
            assert ours.metrics == {key: entry for key, entry in theirs.metrics.items() if "value" in entry}


def test_an_archive_of_an_archive_is_itself(written: Path, simssl: Command) -> None:
    assert simssl("report", written, "--archive", "b.csv").exit_code == 0
    assert Path("b.csv").read_bytes() == written.read_bytes()


def test_a_protocol_stands_there_once(written: Path) -> None:
    lines = cells_of(written)
    assert [bool(line["history"]) for line in lines] == [False, True, True, True, True]
    assert "the last tenth" not in lines[1]["history"]  # it stands among the metrics
    assert lines[1]["history"].count('"split":"test"') == 1  # of three metrics that the run has not in the end


def test_without_measurements_there_is_no_such_column(run: Write, simssl: Command) -> None:
    """So that archives that were written before are written again as they were."""
    run("a", {KNN: metric(0.9)})
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    assert Path("a.csv").read_text().splitlines()[0].endswith("settings,metrics,about")
    assert read_archive(Path("a.csv"))[0].history == []


def test_a_history_that_is_damaged_is_left_out_and_said(
    folder: Path, simssl: Command, caplog: pytest.LogCaptureFixture
) -> None:
    with (folder / "vae1" / "history.jsonl").open("a") as file:
        file.write("{\n")
    assert simssl("report", "runs", "--archive", "a.csv").exit_code == 0
    assert "left out: runs/vae1/history.jsonl is damaged in line 6" in caplog.text
    assert [bool(line["history"]) for line in cells_of(Path("a.csv"))] == [False, True, True, True, False]


# --- damage


def cells_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def rewrite(file: Path, lines: list[dict[str, str]]) -> None:
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def within(change: Callable[[dict[str, Any]], None]) -> Callable[[str], str]:
    def changed(text: str) -> str:
        document = json.loads(text)
        change(document)
        return json.dumps(document)

    return changed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:-1], "history is no JSON"),
        (lambda text: "[]", "history is no mapping"),
        (lambda text: "[" * 10_000, "history is no JSON|recursion|nested"),
        (within(lambda it: it.pop("views")), "history has no list of views"),
        (within(lambda it: it["views"].pop()), "history has no steps with as many numbers of views"),
        (within(lambda it: it["views"].__setitem__(0, -1)), "history has no steps with as many numbers of views"),
        (within(lambda it: it["step"].reverse()), "history has steps that are not in order"),
        (within(lambda it: it["series"].append(3)), "history has a series without a key"),
        (within(lambda it: it["series"][0].pop("key")), "history has a series without a key"),
        (within(lambda it: it["series"][0].update(key="knn/other")), "history has no protocol of knn/other"),
        (within(lambda it: it["series"][2].update(protocol=-1)), "history has no protocol of style_probe/crop_x/R2"),
        (within(lambda it: it["series"][2].update(protocol=9)), "history has no protocol of style_probe/crop_x/R2"),
        (within(lambda it: it["series"][0]["value"].pop()), f"history has not one number of {KNN} a step"),
        (within(lambda it: it["series"][0].pop("value")), f"history has not one number of {KNN} a step"),
        (within(lambda it: it["series"][0].update(held_out=3)), f"history has not one number of {KNN} a step"),
        (within(lambda it: it["series"][0]["value"].__setitem__(0, "x")), f"a number of {KNN} that is no metric"),
        (within(lambda it: it["series"][0]["value"].__setitem__(0, float("nan"))), "a number that is not finite"),
        (within(lambda it: it["series"].append(it["series"][0])), f"history has two numbers of {KNN} at step 0"),
    ],
)
def test_a_damaged_line_is_told_in_one_sentence(
    change: Callable[[str], str], message: str, written: Path, simssl: Command
) -> None:
    lines = cells_of(written)
    lines[1]["history"] = change(lines[1]["history"])
    rewrite(written, lines)
    result = simssl("report", written)
    assert result.exit_code == 2
    (told,) = result.stderr.strip().splitlines()
    assert told.startswith("a.csv:3: the line is damaged (")
    assert re.search(message, told)


METRICS = {KNN: chosen(0.9, 3)}


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(st.data())
def test_whatever_stands_there_is_read_or_refused(data: st.DataObject) -> None:
    document = data.draw(mutated(packed(moments(0.1), METRICS)))
    try:
        found = unpacked(document, METRICS)
    except ValueError:
        return
    text = json.dumps(packed(found, METRICS))
    assert json.dumps(packed(unpacked(json.loads(text), METRICS), METRICS)) == text


def test_an_archive_holds_so_many_numbers(
    written: Path, folder: Path, simssl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = len(VIEWS) * 4 - 1
    monkeypatch.setattr(archive, "MOST_MEASURED", 3 * each)
    result = simssl("report", written)
    assert result.exit_code == 2
    assert result.stderr == (
        f"a.csv:6: more than {3 * each} numbers were measured while runs trained; make archives of fewer runs\n"
    )
    result = simssl("report", folder, "--archive", "b.csv")
    assert result.exit_code == 2
    assert f"the runs have measured {4 * each} numbers while they trained" in result.stderr
    assert not Path("b.csv").exists()
