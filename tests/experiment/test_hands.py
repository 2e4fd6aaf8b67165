"""What people's hands write: 1e1, tabs, copied spaces, names in capitals, numbers no machine has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from simssl.experiment.document import ExperimentError
from simssl.experiment.yaml12 import parse

Run = Callable[..., Result]
Write = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a:\t1\nb:\t[1,\t2\t]\t\n", {"a": 1, "b": [1, 2]}),
        ("a: 1\t# a remark\n", {"a": 1}),
        ("a: 1\t\nb: x\t\n", {"a": 1, "b": "x"}),
        ("a:\t\n  b: 1\n\t\n  c: 2\n", {"a": {"b": 1, "c": 2}}),
        ("a: {b: 1,\n\tc: 2}\n", {"a": {"b": 1, "c": 2}}),
        ("-\t1\n- \t2\n", [1, 2]),
        ("a: 'x\ty'\n", {"a": "x\ty"}),
        ("\t# a remark\na: 1\n", {"a": 1}),
    ],
)
def test_tabs_part_tokens_as_yaml_1_2_has_it(text: str, tree: object) -> None:
    document = parse(text, "f.yaml")
    assert document is not None
    assert document.tree == tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\tb: 1\n", "f.yaml:2:1: not YAML: a tab stands in the indentation; write spaces"),
        ("a:\n  b: 1\n\tc: 1\n", "f.yaml:3:1: not YAML: a tab stands in the indentation; write spaces"),
        ("a: 1\n\u00a0b: 2\n", "f.yaml:2:1: a no-break space (U+00A0) stands in 'b'"),
        ("a\u200b: 1\n", "f.yaml:1:1: a zero width space (U+200B) stands in 'a"),
        ("a: dig\u200bits\n", "f.yaml:1:4: a zero width space (U+200B) stands in"),
        ("a: 4\u00a0\n", "f.yaml:1:4: a no-break space (U+00A0) stands in '4'"),
        ("a: {b:\u00a04}\n", "a no-break space (U+00A0) stands in"),
        ("a:\u00a04\nb: 5\n", "; in line 1 stands a no-break space (U+00A0), where YAML has spaces alone"),
    ],
)
def test_white_space_that_is_none_is_named(text: str, said: str) -> None:
    with pytest.raises(ExperimentError) as error:
        parse(text, "f.yaml")
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["a: my\u00a0photos\n", "a: '4\u00a0'\n", "# d\u00e9j\u00e0\u00a0: vu\na: 1\n"])
def test_white_space_of_names_and_remarks_is_theirs(text: str) -> None:
    assert parse(text, "f.yaml") is not None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"objective": {"name": "SimCLR"}}, "no objective is called 'SimCLR'; did you mean 'simclr'?"),
        ({"dataset": {"name": "MNIST"}}, "no dataset is called 'MNIST'; did you mean 'mnist'?"),
        ({"dataset": {"name": "Fashion-MNIST"}}, "did you mean 'fashion_mnist'?"),
        ({"evaluators": [{"name": "kNN"}]}, "no evaluator is called 'kNN'; did you mean 'knn'?"),
        ({"evaluators": [{"name": "knn", "K": 3}]}, "unknown key 'K'; did you mean 'k'?"),
        ({"Seed": 1}, "unknown key 'Seed'; did you mean 'seed'?"),
        ({"training": {"views": 1e24}}, "'training.views' must be a whole number below 2^63, about 9e18"),
        ({"training": {"epochs": 10**20}}, "'training.epochs' must be a whole number below 2^63, about 9e18"),
        ({"backbone": {"name": "mlp", "hidden": [1e20]}}, "'hidden.0' must be a whole number below 2^63, about 9e18"),
        ({"latent_dim": 1e20}, "'latent_dim' must be a whole number below 2^63, about 9e18"),
        ({"evaluators": [{"name": "knn", "as": "a" * 300}]}, "another name: at most 200 letters, digits"),
    ],
)
def test_check_says_it(settings: dict[str, object], said: str, simssl: Run, small: Write) -> None:
    result = simssl("check", small(**settings))
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"latent_dim": 1e1},
        {"backbone": {"name": "mlp", "hidden": [1e1, 2e1]}},
        {"evaluators": [{"name": "knn", "k": 1e1}, {"name": "knn", "as": "both", "k": [1, 1e1]}]},
        {"objective": {"name": "simvae", "J": 3.0}},
        {"seed": 1e3},
    ],
)
def test_a_whole_number_may_be_written_as_1e1(settings: dict[str, object], simssl: Run, small: Write) -> None:
    result = simssl("check", small(**settings))
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize("latent_dim", [10**12, 2**62])
def test_networks_that_no_memory_holds_are_told_before_training(latent_dim: int, simssl: Run, small: Write) -> None:
    result = simssl("run", small(latent_dim=latent_dim))
    assert result.exit_code == 2
    assert "backbone 'mlp' cannot be built: out of memory: " in result.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("objective", "term"), [({"name": "simclr", "temperature": 1e-45}, "nt_xent"), ({"name": "simvae", "J": 3}, "")]
)
def test_a_loss_that_is_not_finite_at_once_is_not_the_learning_rates_fault(
    objective: dict[str, object], term: str, simssl: Run, small: Write
) -> None:
    if not term:
        objective = {**objective, "sigma2": 1e-300}
    result = simssl("run", small(objective=objective))
    assert result.exit_code == 1
    assert f"the loss term '{term}" in result.stderr
    assert "is not finite at step 1 of" in result.stderr
    assert "a temperature or a variance may be too close to 0" in result.stderr
    assert "learning rate" not in result.stderr


def test_a_learning_rate_that_is_too_large_is(simssl: Run, small: Write) -> None:
    training = {"views": 1800, "batch_views": 60, "optimizer": {"name": "adam", "lr": 1e300}}
    result = simssl("run", small(objective={"name": "simclr"}, training=training))
    assert result.exit_code == 1
    assert "at step 2 of" in result.stderr
    assert "try a smaller learning rate" in result.stderr


def test_collapse_of_weights_that_have_run_away_is_told(simssl: Run, small: Write) -> None:
    training = {"views": 1800, "batch_views": 60, "optimizer": {"name": "adam", "lr": 1e6}}
    result = simssl("run", small(objective={"name": "vae"}, training=training, evaluators=[{"name": "collapse"}]))
    assert result.exit_code == 1
    assert "evaluator 'collapse' found inf for collapse/latents/kl, which is no number to keep" in result.stderr
