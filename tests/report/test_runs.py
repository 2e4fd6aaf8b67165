"""Runs in folders: copies, unfinished ones, damaged files, and some evaluators alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_runs import metric
from PIL import Image
from reports import KNN, STYLE, Command, Lines, Write, table_of


def test_a_run_counts_once(simssl: Command, run: Write, tmp_path: Path) -> None:
    import shutil

    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.7)}, seed=1)
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    text = simssl("report", "runs", tmp_path / "runs", "copy").stdout
    assert "2 of the runs are copies of others, and counted once" in text
    assert "0.600±0.100" in text
    assert "over 2 runs each" in text


def test_copies_lose_nothing_and_their_differences_are_told(run: Write) -> None:
    copies = [
        run("a", {KNN: metric(0.5)}),
        run("b", {KNN: metric(0.5), "style_probe/R2": metric(0.3)}),
        run("c", {KNN: metric(0.6)}),
    ]
    table = table_of(*copies)
    assert [measured.ours.mean for measured in table.rows[0].measured.values()] == [0.5, 0.3]
    assert table.notes == [
        "2 of the runs are copies of others, and counted once",
        f"{KNN}: copies of a run differ, and the first is shown",
    ]


def test_a_copy_that_is_measured_stands_for_one_that_is_not(run: Write) -> None:
    table = table_of(run("a", None), run("b", {KNN: metric(0.5)}))
    assert [measured.ours.mean for measured in table.rows[0].measured.values()] == [0.5]
    assert table.rows[0].runs == 1


def test_what_the_views_share_tells_rows_apart(run: Write, lines: Lines, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.6)}, positives={"share": ["class", "group"]})
    assert {line["method"]: line["mean"] for line in lines()} == {"simvae": "0.5", "simvae share=class,group": "0.6"}
    simssl("report", "runs", "--html", "page.html")
    assert "images that share class and group" in Path("page.html").read_text()


def test_many_settings_of_a_methods_own_views_are_told_in_two_words(run: Write, lines: Lines, simssl: Command) -> None:
    """As the recipes of others have them. What tells rows of one method apart is told all the same."""
    views = {"crop": {"scale": [0.1, 1.0], "ratio": [1.0, 1.0]}, "vertical_flip": 0.5, "grey": 0.2}
    other = {"crop": {"scale": [0.5, 1.0], "ratio": [0.9, 1.1]}, "vertical_flip": 0.1, "grey": 0.1}
    run("a", {KNN: metric(0.9)}, objective={"name": "simclr"}, views=views)
    run("b", {KNN: metric(0.8)}, objective={"name": "byol"}, views=other)
    assert [row["method"] for row in lines("runs")] == ["simclr (own views)", "byol (own views)"]
    run("c", {KNN: metric(0.8)}, objective={"name": "byol"}, views={**other, "grey": 0.0})
    greys = {row["method"] for row in lines("runs")} - {"simclr (own views)"}
    assert greys == {"byol (own views) views.grey=0.1", "byol (own views) views.grey=0.0"}


def test_networks_of_captions_tell_rows_apart(run: Write, lines: Lines, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.6)}, modalities={"caption": {"backbone": {"name": "text_transformer", "width": 8}}})
    assert len(lines()) == 2
    simssl("report", "runs", "--html", "page.html")
    assert "caption: text_transformer (width 8)" in Path("page.html").read_text()


@pytest.mark.parametrize("modalities", [[], "caption", {"caption": []}, {"caption": {"backbone": {"name": 1}}}])
def test_modalities_that_are_no_runs_are_told(modalities: object, run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.6)}, modalities=modalities)
    result = simssl("report", "runs")
    assert "b/experiment.yaml is damaged: modalities is missing or no run's" in result.stdout + result.stderr


@pytest.mark.parametrize("positives", [[], "class", {}, {"share": "class"}, {"share": [1]}])
def test_positives_that_are_no_runs_are_told(positives: object, run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.6)}, positives=positives)
    result = simssl("report", "runs")
    assert "b/experiment.yaml is damaged: positives is missing or no run's" in result.stdout + result.stderr


def test_some_evaluators_alone(run: Write, simssl: Command, lines: Lines, tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = run(f"s{seed}", {KNN: metric(0.5), STYLE: metric(0.25), "near/class/accuracy": metric(0.5)}, seed=seed)
        for label in ("knn", "style_probe"):
            (folder / "images" / label).mkdir(parents=True)
            Image.new("L", (4, 4)).save(folder / "images" / label / "picture.png")
    assert [line["key"] for line in lines("runs", "-e", "style_probe")] == [STYLE]
    assert [line["key"] for line in lines("runs", "-e", "near", "-e", "knn")] == [KNN, "near/class/accuracy"]
    simssl("report", "runs", "-e", "knn", "--html", "page.html")
    page = Path("page.html").read_text()
    assert "knn/picture" in page
    assert "style_probe" not in page.replace("simssl report", "")
    result = simssl("report", "runs", "-e", "gmm")
    assert result.exit_code == 2
    assert "no run knows an evaluator 'gmm'; they know knn, style_probe, near" in result.stderr


# --- runs that were killed -------------------------------------------------------------------------------

BOTH = [{"name": "knn"}, {"name": "style_probe"}]


def test_a_run_that_was_killed_before_its_first_number_is_unfinished(run: Write, lines: Lines, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)}, evaluators=[{"name": "knn"}])
    run("b", {}, objective={"name": "vae"}, evaluators=[{"name": "knn"}])
    status = {line["method"]: line["status"] for line in lines()}
    assert status == {"simvae": "measured", "vae": "unfinished"}
    assert "not measured" not in simssl("report", "runs").stdout
    simssl("report", "runs", "--html", "page.html")
    assert "1 of 2 runs are measured" in Path("page.html").read_text()


def test_a_run_that_was_killed_between_evaluators_is_unfinished(run: Write, lines: Lines, simssl: Command) -> None:
    run("a", {KNN: metric(0.5), STYLE: metric(0.2)}, evaluators=BOTH)
    run("b", {KNN: metric(0.4)}, seed=1, evaluators=BOTH)
    run("c", {KNN: metric(0.3)}, objective={"name": "vae"}, evaluators=BOTH)
    told = {(line["method"], line["key"]): line["status"] for line in lines()}
    assert told["vae", STYLE] == "unfinished"
    text = simssl("report", "runs", "--format", "md", "--html", "page.html").stdout
    assert "- simvae: style_probe unfinished with seed 1" in text
    assert "0.200, n=1" in text
    assert "1 of 3 runs are measured" in Path("page.html").read_text()


# --- files that are damaged ------------------------------------------------------------------------------

DAMAGED = {
    "metrics.json": ["", "{", "[]", "{}", '{"metrics": []}', '{"metrics": {"knn/a": {}}}', '{"metrics": {"knn": 3}}'],
    "experiment.yaml": ["", "name: x", "- 1", "{"],
}


@pytest.mark.parametrize(("file", "content"), [(f, c) for f, contents in DAMAGED.items() for c in contents])
def test_a_damaged_run_is_named_and_left_out(file: str, content: str, simssl: Command, run: Write) -> None:
    run("good", {KNN: metric(0.5)})
    bad = run("bad", {KNN: metric(0.7)}, seed=1)
    (bad / file).write_text(content)
    result = simssl("report", "runs")
    assert result.exit_code == 1
    assert "0.500" in result.stdout
    assert "left out: " in result.stderr
    assert f"bad/{file}" in result.stderr
    assert "unexpected" not in result.stderr


@pytest.mark.parametrize("damage", [{"evaluators": 5}, {"seed": [1]}, {"objective": "vae"}, {"training": None}])
def test_a_damaged_run_spoils_no_report(damage: dict[str, object], simssl: Command, run: Write) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.7)}, **damage)
    result = simssl("report", "runs")
    assert result.exit_code == 1
    assert "0.500" in result.stdout
    (key,) = damage
    assert f"experiment.yaml is damaged: {key} is missing or no run's" in result.stderr


@pytest.mark.parametrize(
    "damage",
    [
        '"value": NaN',
        '"value": Infinity',
        '"value": 1e999',
        f'"value": 1{"0" * 400}',
        '"better": "up"',
        '"better": {}',
        '"protocol": {"evaluator": 3}',
    ],
)
def test_one_damaged_number_spoils_its_run_alone(damage: str, run: Write, simssl: Command) -> None:
    run("good", {KNN: metric(0.5)})
    bad = run("bad", {KNN: metric(0.7)}, seed=1)
    entry = json.dumps(metric(0.7))[:-1] + f", {damage}}}"
    (bad / "metrics.json").write_text(f'{{"metrics": {{"{KNN}": {entry}}}}}')
    result = simssl("report", "runs", "--html", "page.html", "--format", "json")
    assert result.exit_code == 1
    assert "unexpected" not in result.stderr
    assert [record["mean"] for record in json.loads(result.stdout)["metrics"]] == [0.5]
    for told in (*json.loads(result.stdout)["notes"], Path("page.html").read_text()):
        assert "left out: runs/bad/metrics.json is damaged" in told
