"""Archives: runs as the lines of a CSV file, from which a report makes the same tables again."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from fake_runs import metric, write_run

METHODS = [
    {"name": "random"},
    {"name": "simclr", "temperature": 0.2},
    {"name": "simclr", "temperature": 0.5},
    {"name": "simvae", "J": 4},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four rows of three seeds, with a skipped evaluator, held-out numbers, an undertrained probe and odd numbers."""
    root = tmp_path / "runs"
    for number, objective in enumerate(METHODS):
        for seed in range(3):
            accuracy = 0.1 + 0.2 * number + 0.01 * seed / 3
            metrics = {
                "knn/class/accuracy": {**metric(accuracy, select="held_out"), "held_out": accuracy - 0.02},
                "probe/class/accuracy": metric(accuracy / 3, found={"undertrained": seed == 1}),
                "collapse/rank": {**metric(1e-7 * number), "unit": "ratio", "better": None},
                "decoder": {
                    "skipped": 'it has no decoder, they say: "none",\nreally',
                    "evaluator": {"name": "decoder"},
                },
            }
            facts = {"about": {"knn": f"Neighbours, they say; {objective['name']}"}, "roles": {"class": "content"}}
            facts |= {"family": "untrained" if number == 0 else "discriminative"}
            write_run(root / f"run-{number}-{seed}", metrics, facts, objective=objective, seed=seed)
    return root


WAYS = [
    ("--format", "md"),
    ("--format", "csv"),
    ("--format", "json"),
    ("--format", "latex"),
    (),
    ("--relative-to", "simvae", "--format", "json"),
    ("--choose", "knn/class/accuracy", "--format", "json"),
    ("-e", "probe", "--format", "csv"),
]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_the_table_is_the_one_of_the_folders_to_the_byte(
    way: tuple[str, ...], folder: Path, simssl: Callable[..., Result]
) -> None:
    written = simssl("report", folder, "--archive", "a.csv")
    assert written.exit_code == 0, written.stderr
    assert "a.csv has 12 of 12 runs" in written.stderr
    expected = simssl("report", folder, *way)
    assert expected.exit_code == 0, expected.stderr
    result = simssl("report", "a.csv", *way)
    assert result.stdout == expected.stdout
    assert result.stderr == expected.stderr


def test_an_archive_of_an_archive_is_itself(folder: Path, simssl: Callable[..., Result]) -> None:
    environment = {"training": {"simssl": "0.1.0", "git": "abc+", "device": "cpu", "times": {"seconds": 1.5}}}
    (folder / "run-0-0" / "environment.json").write_text(json.dumps(environment))
    assert simssl("report", folder, "--archive", "a.csv").exit_code == 0
    assert simssl("report", "a.csv", "--archive", "b.csv", "--html", "page.html").exit_code == 0
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert Path("b.csv").read_text().splitlines()[1].startswith("run-0-0,e,random,0,0.1.0,abc+,cpu,,1.5,")
    assert Path("page.html").stat().st_size > 1000


def test_runs_stand_there_whole_whatever_the_table_shows(folder: Path, simssl: Callable[..., Result]) -> None:
    assert simssl("report", folder, "--archive", "a.csv").exit_code == 0
    result = simssl("report", folder, "-e", "knn", "--archive", "b.csv")
    assert result.exit_code == 0, result.stderr
    assert "probe/class/accuracy" not in result.stdout
    assert Path("b.csv").read_bytes() == Path("a.csv").read_bytes()


def test_a_spreadsheet_has_the_numbers_in_columns(folder: Path, simssl: Callable[..., Result]) -> None:
    assert simssl("report", folder, "--archive", "a.csv").exit_code == 0
    lines = list(csv.DictReader(Path("a.csv").read_text().splitlines()))
    assert [line["seed"] for line in lines] == ["0", "1", "2"] * 4
    assert float(lines[-1]["knn/class/accuracy"]) == 0.1 + 0.2 * 3 + 0.01 * 2 / 3
    assert json.loads(lines[3]["settings"])["objective"] == METHODS[1]


def test_what_is_not_measured_is_left_out_and_counted(folder: Path, simssl: Callable[..., Result]) -> None:
    write_run(folder / "open", None, objective={"name": "byol"})
    result = simssl("report", folder, "--archive", "a.csv")
    assert "a.csv has 12 of 13 runs" in result.stderr
    assert "byol" not in Path("a.csv").read_text()


def cell(column: str, value: str) -> Callable[[list[dict[str, str]]], None]:
    def change(lines: list[dict[str, str]]) -> None:
        lines[1][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cell("settings", "{"), "settings is no JSON"),
        (cell("settings", "[]"), "settings is no mapping"),
        (cell("settings", '{"name": "e"}'), "seed, evaluators, latent_dim"),
        (cell("seed", "7"), "experiment, objective and seed are not those of its settings"),
        (cell("knn/class/accuracy", ""), "knn/class/accuracy is no number but ''"),
        (cell("knn/class/accuracy", "much"), "knn/class/accuracy is no number but 'much'"),
        (cell("knn/class/accuracy", "NaN"), "knn/class/accuracy is no metric"),
        (cell("metrics", '{"knn/class/accuracy": 3}'), "metrics has no list of protocols"),
        (cell("metrics", '{"protocols": [], "entries": {"knn/a": 3}}'), "knn/a is no metric"),
        (cell("metrics", '{"protocols": [], "entries": {"probe/class/accuracy": {"value": null}}}'), "has no protocol"),
        (cell("metrics", "[" * 10_000), "metrics is no JSON|recursion|nested"),
        (cell("about", "x"), "about is no JSON"),
    ],
)
def test_a_damaged_line_is_told_in_one_sentence(
    change: Callable[[list[dict[str, str]]], None], message: str, folder: Path, simssl: Callable[..., Result]
) -> None:
    assert simssl("report", folder, "--archive", "a.csv").exit_code == 0
    with Path("a.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        lines = list(reader)
    change(lines)
    with Path("a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, reader.fieldnames or (), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    result = simssl("report", "a.csv")
    assert result.exit_code == 2
    (told,) = result.stderr.strip().splitlines()
    assert told.startswith("a.csv:3: the line is damaged (")
    assert re.search(message, told)


def test_another_file_is_neither_read_nor_overwritten(folder: Path, simssl: Callable[..., Result]) -> None:
    Path("other.csv").write_text("a,b\n1,2\n")
    result = simssl("report", "other.csv")
    assert result.exit_code == 2
    assert result.stderr == "other.csv is no archive of runs: it has no column run; simssl report --archive makes one\n"
    result = simssl("report", folder, "--archive", "other.csv")
    assert result.exit_code == 2
    assert "other.csv is there already and is no archive of runs; name another file with --archive" in result.stderr
    assert Path("other.csv").read_text() == "a,b\n1,2\n"
    result = simssl("report", folder, "--archive", "runs.txt")
    assert result.exit_code == 2
    assert "runs.txt does not end in .csv, by which simssl report knows an archive" in result.stderr
    assert not result.stdout
    (folder / "run-0-0" / "environment.json").write_text("{")
    for _ in range(2):
        assert simssl("report", folder, "--archive", "ours.csv").exit_code == 0
