"""The sentences below a table: what was skipped, and why."""

from __future__ import annotations

from fake_runs import metric
from reports import KNN, Command, Lines, Write


def test_a_metric_that_was_skipped_alone_is_said_to_be(run: Write, lines: Lines, simssl: Command) -> None:
    """The rest of its evaluator counts, its role is known from what was measured."""
    roles = {"facts": {"roles": {"crop": "style", "flip": "style"}}}
    skipped = {"skipped": "no weights", "evaluator": {"name": "generation"}}
    metrics = {"probe/crop/R2": metric(0.1), "probe/flip/R2": skipped, "probe/R2": metric(0.1)}
    run("a", metrics, **roles)
    run("b", metrics | {"probe/flip/R2": metric(0.2)}, objective={"name": "vae"}, **roles)
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
