"""Reports of folders and of experiment files: what is missing, and what is not there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import metric, write_run
from reports import KNN, Command, Write, markdown_rows

from simssl.experiment.config import load_experiments
from simssl.plugin.registry import Registry

GRID = {"objective": [{"name": "simvae"}, {"name": "random"}, {"name": "simclr"}], "seed": [0, 1]}


@pytest.fixture
def experiment(small: Write, tmp_path: Path) -> Callable[..., Path]:
    """An experiment file with a grid, and folders for some of its runs: `metrics` by method and seed."""

    def write(metrics: dict[tuple[str, int], dict[str, Any] | None], below: str = "runs", **changes: Any) -> Path:
        evaluators = [{"name": "knn"}, {"name": "reconstruction"}]
        file = small(**{"grid": GRID, "evaluators": evaluators, **changes})
        for planned in load_experiments(file, Registry()):
            of_run = metrics.get((planned.objective.name, planned.seed), ...)
            if of_run is not ...:
                write_run(tmp_path / below / planned.folder, of_run, **planned.resolved)
        return file

    return write


def test_an_experiment_files_runs_come_in_its_order_and_those_that_are_missing_too(
    simssl: Command, experiment: Write
) -> None:
    skipped = {"reconstruction": {"skipped": "random has no decoder", "evaluator": {}}}
    file = experiment(
        {
            ("simvae", 0): {KNN: metric(0.9), "reconstruction/mse": metric(0.1)},
            ("simvae", 1): {KNN: metric(0.92), "reconstruction/mse": metric(0.1)},
            ("random", 0): {KNN: metric(0.5), **skipped},
            ("random", 1): None,
        }
    )
    result = simssl("report", file, "--format", "md")
    assert result.exit_code == 0, result.stderr
    assert list(markdown_rows(result).items()) == [
        ("simvae", ["2", "0.910±0.010", "0.100±0.000"]),
        ("random", ["1", "0.500", "skipped"]),
        ("simclr", ["0", "not run", "not run"]),
    ]
    assert "- random: unfinished with seed 1" in result.stdout
    assert "- reconstruction: skipped, random has no decoder" in result.stdout


def test_a_method_that_was_begun_is_unfinished(simssl: Command, experiment: Write) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}, ("simclr", 1): None})
    by_method = markdown_rows(simssl("report", file, "--format", "md"))
    assert by_method["simclr"] == ["0", "unfinished", "unfinished"]
    assert by_method["random"] == ["0", "not run", "not run"]


def test_what_is_not_asked_for_is_not_said_to_be_missing(simssl: Command, experiment: Write, run: Write) -> None:
    """A metric of another experiment is a dash, not "not run"."""
    file = experiment({("simvae", 0): {KNN: metric(0.9)}})
    run("other", {"rank/rank": metric(0.3)}, name="other")
    result = simssl("report", file, "runs/other", "--format", "json")
    status = {(m["experiment"], m["method"], m["key"]): m["status"] for m in json.loads(result.stdout)["metrics"]}
    assert status == {
        ("small", "simvae", KNN): "measured",
        ("small", "random", KNN): "not run",
        ("small", "simclr", KNN): "not run",
        **{("small", method, "reconstruction"): "not run" for method in ("simvae", "random", "simclr")},
        ("other", "simvae", "rank/rank"): "measured",
    }


def test_csv_and_json_tell_what_is_missing_apart(simssl: Command, experiment: Write) -> None:
    skipped = {"reconstruction": {"skipped": "random has no decoder", "evaluator": {}}}
    file = experiment(
        {("simvae", 0): {"reconstruction/mse": metric(0.1)}, ("random", 0): {KNN: metric(0.5), **skipped}}
    )
    lines = list(csv.DictReader(io.StringIO(simssl("report", file, "--format", "csv").stdout)))
    told = {(line["method"], line["key"]): (line["status"], line["reason"], line["mean"]) for line in lines}
    assert told == {
        ("simvae", KNN): ("not run", "", ""),
        ("simvae", "reconstruction/mse"): ("measured", "", "0.1"),
        ("random", KNN): ("measured", "", "0.5"),
        ("random", "reconstruction/mse"): ("skipped", "random has no decoder", ""),
        ("simclr", KNN): ("not run", "", ""),
        ("simclr", "reconstruction/mse"): ("not run", "", ""),
    }


def test_published_values_stand_beside_what_is_not_run(simssl: Command, experiment: Write, tmp_path: Path) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}})
    published = tmp_path / "own.csv"
    published.write_text(f"dataset,objective,key,value,stderr,source\ndigits,simclr,{KNN},0.97,,Own\n")
    by_method = markdown_rows(simssl("report", file, "--against", "own.csv", "--format", "md"))
    assert by_method["simclr"] == ["0", "not run / Own: 0.970", "not run"]


def test_runs_are_looked_for_below_runs(simssl: Command, experiment: Write) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}}, below="elsewhere")
    assert simssl("report", file, "--runs", "elsewhere").exit_code == 0
    result = simssl("report", file)
    assert result.exit_code == 2
    assert f"no run of {file} is finished in runs/small; simssl run {file} makes them" in result.stderr


def test_runs_with_other_settings_are_pointed_to(simssl: Command, experiment: Write) -> None:
    experiment({("simvae", 0): {KNN: metric(0.9)}}, training={"views": 600, "batch_views": 60})
    file = experiment({})
    result = simssl("report", file)
    assert result.exit_code == 2
    assert "but 1 with other settings; give the -s that they were run with" in result.stderr


def test_settings_are_those_of_the_command_that_ran(simssl: Command, experiment: Write, small: Write) -> None:
    file = experiment({})
    changed = load_experiments(file, Registry(), ["training.views=1200"])
    write_run(Path("runs") / changed[0].folder, {KNN: metric(0.7)}, **changed[0].resolved)
    assert markdown_rows(simssl("report", file, "-s", "training.views=1200", "--format", "md"))["simvae"] == [
        "1",
        "0.700",
        "not run",
    ]


def test_settings_without_an_experiment_file_are_refused(simssl: Command, run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    result = simssl("report", "runs", "-s", "training.views=1")
    assert result.exit_code == 2
    assert "-s changes an experiment file, and only folders are given" in result.stderr


def test_a_wrong_experiment_file_is_told_as_always(simssl: Command, small: Write) -> None:
    assert "nothing.yaml" in simssl("report", "nothing.yaml").stderr
    result = simssl("report", small(latent_dim=0))
    assert result.exit_code == 2
    assert "small.yaml:" in result.stderr


def test_a_damaged_run_of_a_file_is_named_and_its_row_kept(simssl: Command, experiment: Write) -> None:
    file = experiment({("simvae", 0): {KNN: metric(0.9)}, ("simclr", 0): {KNN: metric(0.8)}})
    (damaged,) = Path("runs/small").glob("simclr-*")
    (damaged / "metrics.json").write_text("{")
    result = simssl("report", file, "--format", "md")
    assert result.exit_code == 1
    assert "left out: " in result.stderr
    assert markdown_rows(result)["simclr"] == ["0", "unreadable", "unreadable"]


def test_runs_that_are_all_unfinished_are_no_report(simssl: Command, run: Write) -> None:
    run("a", None)
    result = simssl("report", "runs")
    assert result.exit_code == 2
    assert "no finished run was found in runs" in result.stderr


def test_folders_are_ordered_by_family_and_show_what_is_unfinished(simssl: Command, run: Write) -> None:
    for name in ("beta_vae", "random", "simclr", "vae"):
        run(name, {KNN: metric(0.5)}, objective={"name": name})
    run("moco", None, objective={"name": "moco"})
    by_method = markdown_rows(simssl("report", "runs", "--format", "md"))
    assert list(by_method) == ["random", "simclr", "beta_vae", "vae", "moco"]
    assert by_method["moco"] == ["0", "unfinished"]


def test_one_objectives_settings_are_in_order(simssl: Command, run: Write) -> None:
    for name, J in (("a", 10), ("b", 2), ("c", 20), ("d", 3)):
        run(name, {KNN: metric(0.5)}, objective={"name": "simvae", "J": J})
    by_method = markdown_rows(simssl("report", "runs", "--format", "md"))
    assert list(by_method) == ["simvae J=2", "simvae J=3", "simvae J=10", "simvae J=20"]


def test_nothing_found_is_said(simssl: Command) -> None:
    result = simssl("report", "nowhere")
    assert result.exit_code == 2
    assert "nowhere does not exist" in result.stderr


def test_a_path_that_is_not_there_is_said_beside_one_that_is(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    result = simssl("report", "runs", "nowhere", "no/where.yaml")
    assert result.exit_code == 2
    assert result.stderr == "nowhere does not exist\nno/where.yaml does not exist\n"


# --- links -----------------------------------------------------------------------------------------------


def test_linked_runs_are_reported(run: Write, simssl: Command, tmp_path: Path) -> None:
    """A link among runs, a folder of links, and a link to a folder of runs; each run once, whatever leads to it."""
    run("a", {KNN: metric(0.1)}, seed=0)
    for seed, folder in enumerate(("disk/d", "disk/e", "far/away/f"), 1):
        write_run(tmp_path / folder, {KNN: metric(0.1 * seed)}, seed=seed)
    (tmp_path / "runs/d").symlink_to("../disk/d")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/e").symlink_to(tmp_path / "disk/e")
    (tmp_path / "links/again").symlink_to(tmp_path / "disk/e")
    (tmp_path / "links/far").symlink_to(tmp_path / "far")
    for folder, count in (("runs", 2), ("links", 2)):
        result = simssl("report", folder, "--format", "json")
        assert result.exit_code == 0, result.stderr
        (record,) = json.loads(result.stdout)["metrics"]
        assert record["runs"] == count
        assert json.loads(result.stdout)["notes"] == []


def test_links_that_lead_back_end(run: Write, simssl: Command, tmp_path: Path) -> None:
    run("a", {KNN: metric(0.1)})
    write_run(tmp_path / "other", {KNN: metric(0.3)}, seed=1)
    (tmp_path / "runs/up").symlink_to(tmp_path)
    (tmp_path / "runs/self").symlink_to(tmp_path / "runs")
    (tmp_path / "runs/a/features").symlink_to(tmp_path / "other")
    result = simssl("report", "runs", "--format", "json")
    assert result.exit_code == 0, result.stderr
    (record,) = json.loads(result.stdout)["metrics"]
    assert record["runs"] == 1, "what a run links to is no run of this folder"


def test_a_link_to_nothing_is_told(run: Write, simssl: Command, tmp_path: Path) -> None:
    run("a", {KNN: metric(0.1)})
    (tmp_path / "runs/d").symlink_to("../disk/d")
    result = simssl("report", "runs")
    assert "0.100" in result.stdout
    assert "left out: runs/d is a link to ../disk/d, which is not there" in result.stderr
