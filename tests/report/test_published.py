"""Published values stand beside ours, and a published table that is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import metric
from reports import KNN, Command, Write, table_of

from simssl.report import formats, numbers
from simssl.report.compare.published import Published, read_published

MINUS = "\N{MINUS SIGN}"


def test_published_values_stand_beside_ours(run: Write) -> None:
    table = table_of(run("a", {KNN: metric(0.98)}), against="bizeul2024")
    (measured,) = table.rows[0].measured.values()
    assert measured.published is not None
    assert (measured.published.value, measured.published.source) == (0.985, "Table 1")
    assert numbers.texts_of(measured, "fraction", runs=1) == ["0.980", "Table 1: 0.985±0.000, \N{MINUS SIGN}0.005"]
    (record,) = formats.records(table)
    assert (record["published"], record["published_selected_on"]) == (0.985, "test")


def test_published_values_that_were_selected_otherwise_are_said_to_be(run: Write) -> None:
    """The paper's numbers were selected on test; the evaluator of another name that does so has them, too."""
    held_out = metric(0.97, evaluator={"name": "knn"}, selected_on="held_out")
    on_test = metric(0.98, evaluator={"name": "knn", "as": "knn_on_test"}, selected_on="test")
    path = run("a", {KNN: held_out, "knn_on_test/class/accuracy": on_test})
    table = table_of(path, against="bizeul2024")
    values = {column.key: measured.published for column, measured in table.rows[0].measured.items()}
    assert [published and published.value for published in values.values()] == [0.985, 0.985]
    assert table.notes == ["Table 1 was selected on test: compare it with the columns that were, too"]
    assert table_of(run("b", {KNN: on_test}), against="bizeul2024").notes == []


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


def test_a_published_table_may_be_a_file(run: Write, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(f"dataset,objective,key,value,stderr,source\nmnist,simvae,{KNN},0.5,,Own\n")
    (measured,) = table_of(run("a", {KNN: metric(0.98)}), against=str(file)).rows[0].measured.values()
    assert measured.published == Published(0.5, None, "Own", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset,objective\na,b\n", "own.csv:2: a published value has the columns"),
        ("dataset,objective,key,value,stderr,source\na,b,c,nan,,d\n", "own.csv:2: a published value has the columns"),
        ("dataset,objective,key,value,stderr,source\na,b,c,1,nan,d\n", "own.csv:2: a published value has the columns"),
        (None, "neither a file nor"),
    ],
)
def test_a_bad_published_table_is_named(
    text: str | None, message: str, simssl: Command, run: Write, tmp_path: Path
) -> None:
    run("a", {KNN: metric(0.98)})
    if text:
        (tmp_path / "own.csv").write_text(text)
    result = simssl("report", "runs", "--against", "own.csv")
    assert result.exit_code == 2
    assert message in result.stderr


def test_two_published_values_of_one_thing_are_an_error(run: Write, simssl: Command) -> None:
    run("a", {KNN: metric(0.98)})
    line = f"mnist,simvae,{KNN},0.5,,Own\n"
    Path("own.csv").write_text(f"dataset,objective,key,value,stderr,source\n{line}{line}")
    result = simssl("report", "runs", "--against", "own.csv")
    assert result.exit_code == 2
    assert f"own.csv:3: there is a value of mnist, simvae, {KNN} above already" in result.stderr


def test_a_value_of_a_setting_stands_beside_that_setting_alone(run: Write, tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    head = "dataset,objective,key,value,stderr,source,protocol,training.epochs,evaluator.k"
    file.write_text(f"{head}\nmnist,simvae,{KNN},0.5,,Own,by hand,3,200\nmnist,simvae,{KNN},0.7,,Own,by hand,9,200\n")
    beside = {}
    for epochs, k in [(3, 200), (9, 200), (4, 200), (3, 5)]:
        entry = metric(0.98, evaluator={"name": "knn", "k": k})
        path = run(f"{epochs}-{k}", {KNN: entry}, training={"epochs": epochs, "batch_views": 60})
        (measured,) = table_of(path, against=str(file)).rows[0].measured.values()
        beside[epochs, k] = measured.published and measured.published.value
    assert beside == {(3, 200): 0.5, (9, 200): 0.7, (4, 200): None, (3, 5): None}
    assert "Own measured by: by hand" in table_of(path.parent / "3-200", against=str(file)).notes


def test_the_tables_of_lightly_and_solo_learn_are_installed() -> None:
    """Each value with its protocol. lightly's are of three budgets."""
    lightly = read_published("lightly")["cifar10", "simclr", KNN]
    assert [(value.where["training.epochs"], value.value) for value in lightly] == [
        ("200", 0.847),
        ("200", 0.848),
        ("800", 0.879),
    ]
    protocol = {"evaluator.distance": "cosine", "evaluator.k": "200", "evaluator.temperature": "0.1"}
    assert all(protocol.items() <= value.where.items() for value in lightly)
    (solo,) = read_published("solo")["cifar10", "barlow_twins", "linear_probe/class/accuracy"]
    assert (solo.value, solo.where["training.epochs"], solo.selected_on) == (0.921, "1000", "test")
    for name in ("lightly", "solo"):
        for values in read_published(name).values():
            assert all(value.protocol and value.selected_on == "test" for value in values)
