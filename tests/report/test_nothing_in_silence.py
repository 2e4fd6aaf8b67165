"""A report leaves out nothing in silence: protocols, runs that were killed, damaged files, wrong paths, differences."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fake_runs import metric
from PIL import Image

Command = Callable[..., Result]
Write = Callable[..., Path]
KNN, STYLE = "knn/class/accuracy", "style_probe/R2"
MINUS = "\N{MINUS SIGN}"


@pytest.fixture
def lines(simssl: Command) -> Callable[..., list[dict[str, str]]]:
    """The lines of the CSV of a report."""

    def read(*words: object) -> list[dict[str, str]]:
        result = simssl("report", *(words or ("runs",)), "--format", "csv")
        assert result.exit_code == 0, result.stderr
        return list(csv.DictReader(io.StringIO(result.stdout)))

    return read


Lines = Callable[..., list[dict[str, str]]]

# --- protocols -------------------------------------------------------------------------------------------


def test_a_protocol_that_says_null_is_one_that_says_nothing(run: Write, lines: Lines) -> None:
    for seed, evaluator in enumerate([{"k": 5, "weights": None}, {"k": 5}, {"k": 5, "extra": {}}]):
        run(f"s{seed}", {KNN: metric(0.1 * seed, evaluator=evaluator)}, seed=seed)
    (line,) = lines()
    assert (line["runs"], line["remark"], float(line["mean"])) == ("3", "", pytest.approx(0.1))


@pytest.mark.parametrize(
    ("one", "another", "remark"),
    [
        ({"evaluator": {"k": 5}}, {"evaluator": {}}, "[k 5]"),
        ({"selection": {}, "classes": ["a", "b"]}, {"classes": ["a", "c"]}, "[classes a, b]"),
        ({"how": "a" * 50}, {"how": "b"}, "[how aaaaaaaaaaa\N{HORIZONTAL ELLIPSIS}aaaaaaaaaaaa]"),
        (dict.fromkeys("abcde", 1), {}, "[a 1, b 1, c 1, 2 more]"),
    ],
)
def test_other_protocols_keep_their_columns(
    one: dict[str, Any], another: dict[str, Any], remark: str, run: Write, lines: Lines
) -> None:
    run("a", {KNN: metric(0.25, **one)})
    run("b", {KNN: metric(0.75, **another)}, seed=1)
    found = lines()
    assert [(line["mean"], line["runs"]) for line in found] == [("0.25", "1"), ("0.75", "1")]
    assert found[0]["remark"] == remark


def test_another_unit_is_another_column(run: Write, lines: Lines) -> None:
    run("a", {KNN: metric(0.25)})
    run("b", {KNN: {**metric(25), "unit": "percent"}}, seed=1)
    assert [(line["mean"], line["unit"]) for line in lines()] == [("0.25", "fraction"), ("25.0", "percent")]


def test_columns_are_told_apart_where_they_stand_together_alone(run: Write, simssl: Command) -> None:
    """Experiments have tables of their own, so that what differs between them needs no note."""
    run("a", {KNN: metric(0.1, data="16943f21b9d6eb10", evaluator={"k": 1})})
    run("b", {KNN: metric(0.2, data="ab2332773d559275", evaluator={"k": 9})}, name="f")
    for format_ in ("table", "md", "latex"):
        text = simssl("report", "runs", "--format", format_).stdout
        assert "data" not in text
        assert "k 1" not in text
    run("c", {KNN: metric(0.3, data="16943f21b9d6eb10", evaluator={"k": 5})}, seed=1)
    text = simssl("report", "runs").stdout
    assert "[k 1]" in text
    assert "k 9" not in text


def test_a_long_note_is_broken_in_a_terminal(run: Write, simssl: Command) -> None:
    for seed in (0, 1):
        note = {key: f"{key} and many a word more, {seed}" for key in ("first", "second", "third")}
        run(f"s{seed}", {KNN: metric(0.1, **note)}, seed=seed)
    table = simssl("report", "runs").stdout.split("one run each")[0]
    assert max(map(len, table.splitlines())) < 80


def test_an_evaluators_columns_stand_together_though_some_runs_lack_some(run: Write, lines: Lines) -> None:
    evaluators = [{"name": "knn"}, {"name": "gmm"}]
    run("a", {KNN: metric(0.1), "gmm/class/nmi": metric(0.2)}, evaluators=evaluators)
    run("b", {KNN: metric(0.1), "knn/colour/accuracy": metric(0.3)}, seed=1, evaluators=evaluators)
    assert [line["key"] for line in lines()] == [KNN, "knn/colour/accuracy", "gmm/class/nmi"]


def test_a_metric_that_was_skipped_alone_is_said_to_be(run: Write, lines: Lines, simssl: Command) -> None:
    """The rest of its evaluator counts, its role is known from what was measured."""
    roles = {"facts": {"roles": {"crop": "style", "flip": "style"}}}
    skipped = {"skipped": "no weights", "evaluator": {"name": "generation"}}
    found = {"probe/crop/R2": metric(0.1), "probe/flip/R2": skipped, "probe/R2": metric(0.1)}
    run("a", found, **roles)
    run("b", found | {"probe/flip/R2": metric(0.2)}, objective={"name": "vae"}, **roles)
    told = {(line["method"], line["key"]): (line["status"], line["role"]) for line in lines()}
    assert told["simvae", "probe/flip/R2"] == ("skipped", "style")
    assert told["simvae", "probe/R2"] == ("measured", "style")
    assert "- probe/flip/R2: skipped, no weights" in simssl("report", "runs", "--format", "md").stdout


def test_what_several_methods_lack_is_one_sentence(run: Write, simssl: Command) -> None:
    for name in ("moco", "pca", "vae"):
        lacks = {"decoder": {"skipped": f"{name} has no decoder", "evaluator": {}}} if name != "vae" else {}
        nothing = {"views": {"skipped": "the views do not vary", "evaluator": {}}}
        run(name, {KNN: metric(0.5), **lacks, **nothing}, objective={"name": name})
    text = simssl("report", "runs", "--format", "md").stdout
    assert "- decoder: skipped, no decoder: moco, pca\n" in text
    assert text.count("views: skipped, the views do not vary") == 1


# --- what is not measured --------------------------------------------------------------------------------

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


def test_what_nobody_has_measured_has_a_column(run: Write, lines: Lines, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)}, evaluators=BOTH)
    (_, line) = lines()
    assert (line["key"], line["status"], line["mean"]) == ("style_probe", "unfinished", "")
    simssl("report", "runs", "--html", "page.html")
    assert '<th scope="row">style_<wbr>probe</th>' in Path("page.html").read_text()


# --- files that are damaged or gone ----------------------------------------------------------------------


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


def test_a_path_that_is_not_there_is_said_beside_one_that_is(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    result = simssl("report", "runs", "nowhere", "no/where.yaml")
    assert result.exit_code == 2
    assert result.stderr == "nowhere does not exist\nno/where.yaml does not exist\n"


@pytest.mark.parametrize("content", ["name: mine\n", "<!doctype html><title>my own</title>"])
def test_a_page_takes_the_place_of_a_page_alone(content: str, run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    Path("mine.yaml").write_text(content)
    result = simssl("report", "runs", "--html", "mine.yaml")
    assert result.exit_code == 2
    assert "mine.yaml is there already and is no page of simssl report; name another file" in result.stderr
    assert Path("mine.yaml").read_text() == content
    assert [simssl("report", "runs", "--html", "page.html").exit_code for _ in range(2)] == [0, 0]


# --- differences and published values ---------------------------------------------------------------------


def test_no_difference_is_said_and_no_caption_speaks_of_one(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.5)})
    run("b", {KNN: metric(0.6)}, objective={"name": "vae"}, seed=1)
    run("c", None, objective={"name": "simclr"})
    text = simssl("report", "runs", "--relative-to", "vae").stdout
    assert "simvae: no difference, since vae shares no seed and metric with it" in text
    assert "in brackets" not in text
    text = simssl("report", "runs", "--relative-to", "simclr").stdout
    assert "simvae: no difference, since simclr is not measured" in text
    assert "in brackets" not in text


def test_published_values_are_explained(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.98)})
    text = simssl("report", "runs", "--against", "bizeul2024", "--format", "md", "--html", "page.html").stdout
    said = "Table 1: what bizeul2024 gives, and ours minus it"
    assert said in text
    assert said in Path("page.html").read_text()
    text = simssl("report", "runs", "--format", "md").stdout
    assert "ours minus" not in text
    run("b", {KNN: metric(0.5)}, name="f", dataset={"name": "digits"})
    text = simssl("report", "runs/b", "--against", "bizeul2024").stdout
    assert "bizeul2024 has no value for any of these data sets, methods and metrics" in text


@pytest.mark.parametrize(
    ("ours", "published", "shown"),
    [
        ((0.0895,), "0.0899", f"0.0899, {MINUS}0.0004"),
        ((1234.1, 1235.9), "1187.287", "1187, +47.71"),
        ((0.40, 0.42), "0.381,0.038", "0.381±0.038, +0.029"),
    ],
)
def test_a_gap_has_the_digits_of_ours(
    ours: tuple[float, ...], published: str, shown: str, run: Write, simssl: Command
) -> None:
    unit = "fraction" if "," in published else "nats/image"
    for seed, value in enumerate(ours):
        run(f"s{seed}", {KNN: {**metric(value), "unit": unit}}, seed=seed)
    value, _, stderr = published.partition(",")
    header = "dataset,objective,key,value,stderr,source\n"
    Path("own.csv").write_text(f"{header}mnist,simvae,{KNN},{value},{stderr},Own\n", encoding="utf-8-sig")
    assert f"Own: {shown}" in simssl("report", "runs", "--against", "own.csv").stdout


def test_two_published_values_of_one_thing_are_an_error(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.98)})
    line = f"mnist,simvae,{KNN},0.5,,Own\n"
    Path("own.csv").write_text(f"dataset,objective,key,value,stderr,source\n{line}{line}")
    result = simssl("report", "runs", "--against", "own.csv")
    assert result.exit_code == 2
    assert f"own.csv:3: there is a value of mnist, simvae, {KNN} above already" in result.stderr


# --- the best --------------------------------------------------------------------------------------------


def best(lines: list[dict[str, str]]) -> list[str]:
    return [line["method"] for line in lines if line["best"] == "True"]


def test_the_best_is_told_by_the_differences_seed_by_seed(run: Write, lines: Lines) -> None:
    """Seeds move both alike: each has an error of 0.1, their difference of 0.02 none."""
    for seed in range(3):
        run(f"v{seed}", {KNN: metric(0.3 + 0.2 * seed)}, objective={"name": "vae"}, seed=seed)
        run(f"s{seed}", {KNN: metric(0.32 + 0.2 * seed)}, seed=seed)
    assert best(lines()) == ["simvae"]


def test_other_seeds_are_compared_as_independent(run: Write, lines: Lines) -> None:
    for seed in range(2):
        run(f"v{seed}", {KNN: metric(0.3 + 0.2 * seed)}, objective={"name": "vae"}, seed=seed)
        run(f"s{seed}", {KNN: metric(0.32 + 0.2 * seed)}, seed=seed + 5)
    assert best(lines()) == ["simvae", "vae"]


def test_a_single_seed_is_level_with_nothing_but_its_equal(run: Write, lines: Lines) -> None:
    for seed in range(2):
        run(f"v{seed}", {KNN: metric(0.3 + 0.2 * seed)}, objective={"name": "vae"}, seed=seed)
    run("s", {KNN: metric(0.41)}, seed=1)
    run("b", {KNN: metric(0.41)}, objective={"name": "beta_vae"})
    assert best(lines()) == ["beta_vae", "simvae"]


def test_bold_says_within_what_it_is_sought(run: Write, simssl: Command) -> None:
    for views in (1000, 2000):
        for name in ("vae", "simvae"):
            run(f"{name}{views}", {KNN: metric(0.5)}, objective={"name": name}, training={"views": views})
    assert "methods at the same data, views, networks and budget, and" in simssl("report", "runs").stdout
    assert "same data" not in simssl("report", "runs/vae1000", "runs/simvae1000").stdout


# --- text that means something to its format -------------------------------------------------------------


def test_characters_that_mean_something_are_escaped(run: Write, simssl: Command) -> None:
    run("a", {r"knn/a\b^c~d<e>f|g/x": metric(0.5)})
    text = simssl("report", "runs", "--format", "latex").stdout
    escaped = r"a\textbackslash{}b\textasciicircum{}c\textasciitilde{}d\textless{}e\textgreater{}f\textbar{}g"
    assert escaped in text
    assert r"f\|g" in simssl("report", "runs", "--format", "md").stdout


# --- some evaluators alone ---------------------------------------------------------------------------------


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
