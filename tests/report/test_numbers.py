"""Numbers as text: how many digits they have, and over how many runs they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import metric
from reports import KNN, Command, Write, table_of

from simssl.report import formats, numbers

MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("value", "stderr", "shown"),
    [
        (1234.5, 0.4, "1234.50±0.40"),
        (0.00012, 34.5, "0±34"),
        (0.01153, 0.00012, "0.01153±0.00012"),
        (7552.3, None, "7552"),
    ],
)
def test_a_standard_error_decides_how_many_digits_are_shown(value: float, stderr: float | None, shown: str) -> None:
    assert numbers.number(value, "nats/image", stderr) == shown


def test_a_mean_over_fewer_runs_says_so(run: Write) -> None:
    metrics = [{KNN: metric(0.0)}, {KNN: metric(0.1)}, {"style_probe/R2": metric(0.3)}]
    runs = [run(f"s{i}", of_run, seed=i) for i, of_run in enumerate(metrics)]
    text = formats.terminal(table_of(*runs))
    assert "0.050±0.050, n=2" in text
    assert "0.300, n=1" in text


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
