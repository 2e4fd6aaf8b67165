"""The picture of what each method keeps of each target."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_runs import metric
from reports import Command, Write

HEADING = "What is kept of each target"

ROLES = {"shape": "content", "hue": "style", "x": "style"}


def skill(value: float, **protocol: Any) -> dict[str, Any]:
    return {**metric(value, **protocol), "unit": "skill"}


@pytest.fixture
def page(simssl: Command) -> Callable[[], str]:
    def build() -> str:
        result = simssl("report", "runs", "--html", "page.html")
        assert result.exit_code == 0, result.stderr
        return Path("page.html").read_text()

    return build


def write(run: Write, method: str, kept: dict[str, float], seeds: int = 2, **settings: Any) -> None:
    for seed in range(seeds):
        found = {}
        for target, value in kept.items():
            for probe in ("linear", "mlp"):
                found[f"factors/{target}/{probe}"] = skill(value + 0.02 * seed)
        roles = settings.get("roles", ROLES)
        others = {key: value for key, value in settings.items() if key != "roles"}
        facts = {"family": "generative", "roles": roles}
        run(f"{method}{seed}{len(others)}", found, facts=facts, objective={"name": method}, seed=seed, **others)


def figures(source: str) -> dict[str, tuple[bool, dict[str, str]]]:
    """Whether each target is framed, and the value of each method's bar."""
    found = {}
    for attributes, target, svg in re.findall(
        r"<figure([^>]*)><figcaption><b>(.*?)</b>.*?</figcaption>(.*?)</figure>", source
    ):
        bars = dict(re.findall(r"<rect[^>]*><title>([\w=., ]+): ([^<]*)", svg))
        found.setdefault(target, ("content" in attributes, bars))
    return found


def test_a_plot_a_target_has_a_bar_a_method(page: Callable[[], str], run: Write) -> None:
    write(run, "simclr", {"hue": 0.2, "shape": 0.9, "x": 0.1})
    write(run, "simvae", {"hue": 0.8, "shape": 0.7, "x": 0.7})
    source = page()
    assert f"<h2>{HEADING}</h2>" in source
    assert "<h3>factors: linear</h3>" in source
    assert "<summary>factors: mlp</summary>" in source
    found = figures(source)
    assert list(found) == ["shape", "hue", "x"]  # content comes first
    assert found["shape"] == (True, {"simclr": "0.91", "simvae": "0.71"})
    assert found["hue"] == (False, {"simclr": "0.21", "simvae": "0.81"})
    assert source.count('class="whisker"') >= 12


def test_other_units_and_a_single_target_have_no_such_plots(page: Callable[[], str], run: Write) -> None:
    run("a", {"factors/shape/linear": skill(0.5), "probe/hue/R2": metric(0.3), "probe/x/R2": metric(0.3)})
    assert HEADING not in page()


def test_what_one_run_shares_another_may_not(page: Callable[[], str], run: Write) -> None:
    """Runs whose views share other targets are not compared, and each has its own content."""
    both = {"shape": 0.5, "hue": 0.4}
    write(run, "simvae", both, positives={"share": ["shape"]})
    write(
        run,
        "simvae",
        both,
        positives={"share": ["hue"]},
        roles={"shape": "style", "hue": "content"},
        latent_dim=10,
    )
    source = page()
    framed = re.findall(r'<figure class="content"><figcaption><b>(\w+)</b>', source)
    assert framed == ["hue", "shape", "hue", "shape"]  # of two probes
    assert "the views of an image share shape" in source
    assert "the views of an image share hue" in source


def test_long_names_of_methods_stay_different(page: Callable[[], str], run: Write) -> None:
    for middle in ("one", "two"):
        found = {f"factors/{target}/linear": skill(0.5) for target in ("x", "shape")}
        method = f"a_method_with_a_long_name_of_{middle}_kind_that_ends_alike"
        run(middle, found, facts={"roles": ROLES}, objective={"name": method})
    assert len(figures(page())["x"][1]) == 2
