"""The release's faults: off they are what is built in; on they are what independent formulas say."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from subjects import Known
from torch import Tensor, nn
from torch.distributions import Bernoulli, MultivariateNormal, Normal

from simssl.api import Context, Objective
from simssl.errors import UserError
from simssl.plugin.registry import Registry
from simssl.testing import outcomes
from simssl.testing.fixtures import SHAPE, tiny_context

FAULTS = Path(__file__).parents[2] / "experiments" / "release" / "faults.py"
REGISTRY = Registry(builtins_only=True, files=(FAULTS,))
TWO_PI = 2 * math.pi

Command = Callable[..., Result]
Write = Callable[..., Path]


@pytest.mark.parametrize("kind", ["objective", "backbone", "evaluator"])
def test_each_plugin_passes_the_checks_of_its_kind(kind: str) -> None:
    failed = [o for o in outcomes(kind, REGISTRY.load(kind, "faults")) if o.status not in ("ok", "skipped")]
    assert not failed


# --- the objective ------------------------------------------------------------------------------------------


def built(name: str, context: Context | None = None, **params: object) -> Any:
    """An objective on tiny networks, whose weights depend on nothing else."""
    plugin = REGISTRY.load("objective", name)
    torch.manual_seed(0)
    return plugin(plugin.Params(**params), context or tiny_context())


def images(J: int, grey: bool = False, B: int = 6) -> Tensor:
    x_BJCHW = torch.rand(B, J, *SHAPE, generator=torch.Generator().manual_seed(1))
    return x_BJCHW if grey else x_BJCHW.round()


def terms_of(objective: Objective, x_BJCHW: Tensor) -> dict[str, Tensor]:
    index_B = torch.arange(len(x_BJCHW))
    return dict(objective(x_BJCHW, index_B, torch.Generator().manual_seed(7)).loss)


def gradient(loss: Tensor, objective: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(objective.parameters()), allow_unused=True, materialize_grads=True))


@pytest.mark.parametrize(
    ("J", "builtin"),
    [(1, {"name": "vae"}), (2, {"name": "simvae", "J": 2}), (10, {"name": "simvae", "J": 10})],
    ids=["vae", "simvae-2", "simvae-10"],
)
def test_without_a_fault_it_is_the_built_in_objective_bit_for_bit(J: int, builtin: dict[str, Any]) -> None:
    ours, theirs = built("faults", J=J), built(**builtin)
    x_BJCHW = images(J, grey=True)
    found, expected = terms_of(ours, x_BJCHW), terms_of(theirs, x_BJCHW)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    gradients = zip(
        gradient(sum(found.values(), torch.zeros(())), ours),
        gradient(sum(expected.values(), torch.zeros(())), theirs),
        strict=True,
    )
    assert all(torch.equal(one, other) for one, other in gradients)
    assert ours.sigma2 == theirs.sigma2


def test_a_whole_run_without_a_fault_measures_what_the_built_in_one_does(simssl: Command, small: Write) -> None:
    evaluators = [{"name": "knn"}, {"name": "reconstruction"}]
    pairs = [{"name": "vae"}, {"name": "faults", "J": 1}, {"name": "simvae", "J": 3}, {"name": "faults", "J": 3}]
    result = simssl("run", small(evaluators=evaluators, grid={"objective": pairs}), "--plugin", FAULTS)
    assert result.exit_code == 0, result.stderr
    values: dict[Any, list[Any]] = {"vae": [], "simvae": [], "faults": []}
    for file in Path("runs/small").glob("*/metrics.json"):
        content = json.loads(file.read_text())
        values[content["objective"]].append([m["value"] for m in content["metrics"].values()])
    assert len(values["vae"][0]) == 4
    assert sorted(values["faults"]) == sorted(values["vae"] + values["simvae"])


def reference(objective: Any, x_BJCHW: Tensor, two_pi: bool, divided: bool) -> dict[str, Tensor]:
    """The release's terms in nats per view, one latent dimension of one image after the other."""
    B, J = x_BJCHW.shape[:2]
    mean_BD, log_variance_BD = objective.model.infer(x_BJCHW.flatten(0, 1))
    noise_BD = torch.empty_like(mean_BD).normal_(generator=torch.Generator().manual_seed(7))
    variance_BD = log_variance_BD.exp()
    z_BD = mean_BD + variance_BD.sqrt() * noise_BD
    logits_BCHW = objective.model.decode(z_BD)
    if divided:
        pixels = Bernoulli(logits=logits_BCHW, validate_args=False).log_prob(x_BJCHW.flatten(0, 1)) / 0.01
    else:
        pixels = Normal(logits_BCHW.sigmoid(), 0.1).log_prob(x_BJCHW.flatten(0, 1))
    entropy_BD = Normal(mean_BD, variance_BD.sqrt()).entropy() * (TWO_PI if two_pi else 1)
    found = {"reconstruction": -pixels.sum() / (B * J), "entropy": -entropy_BD.sum() / (B * J)}
    if J == 1:
        crossed = 0.5 * (math.log(TWO_PI) + mean_BD**2 + variance_BD)  # -E_q log N(z; 0, 1)
        return {"reconstruction": found["reconstruction"], "kl": found["entropy"] + crossed.sum() / B}
    covariance_JJ = 0.15 * torch.eye(J).double() + (1 - 0.15 / J) * torch.ones(J, J).double()
    prior = MultivariateNormal(torch.zeros(J).double(), covariance_JJ)
    z_BDJ = z_BD.unflatten(0, (B, J)).transpose(1, 2)
    return found | {"prior": -prior.log_prob(z_BDJ).sum() / (B * J)}


@pytest.mark.parametrize("J", [1, 2, 10])
@pytest.mark.parametrize("grey", [False, True], ids=["binary", "grey"])
@pytest.mark.parametrize(("two_pi", "divided"), [(True, False), (False, True), (True, True)])
def test_each_fault_is_what_its_formula_says(J: int, grey: bool, two_pi: bool, divided: bool) -> None:
    """In float64, with the gradient."""
    faults = {
        "entropy": "two_pi" if two_pi else "right",
        "likelihood": "divided_bernoulli" if divided else "gaussian",
    }
    objective = built("faults", J=J, **faults).double()
    x_BJCHW = images(J, grey).double()
    found = terms_of(objective, x_BJCHW)
    expected = reference(objective, x_BJCHW, two_pi, divided)
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10)
    ours = gradient(sum(found.values(), torch.zeros(())), objective)
    theirs = gradient(sum(expected.values(), torch.zeros(())), objective)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9)


def test_the_entropys_gradient_is_two_pi_times_too_large() -> None:
    x_BJCHW = images(4).double()
    right, wrong = built("faults", J=4).double(), built("faults", J=4, entropy="two_pi").double()
    of_right = gradient(terms_of(right, x_BJCHW)["entropy"], right)
    of_wrong = gradient(terms_of(wrong, x_BJCHW)["entropy"], wrong)
    assert any(bool(one.any()) for one in of_right)
    for one, other in zip(of_right, of_wrong, strict=True):
        torch.testing.assert_close(other, TWO_PI * one, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("entropy", "best"), [("right", 1.0), ("two_pi", TWO_PI)])
def test_the_vaes_posterior_that_knows_nothing_has_a_variance_of_two_pi_instead_of_one(
    entropy: str, best: float
) -> None:
    """There the gradient of the KL in the log variance, (v - weight) / 2, is zero."""
    objective = built("faults", J=1, entropy=entropy).double()
    log_variance_BD = torch.tensor([0.5, 1.0, best, 9.0]).double().log().repeat(6, 1).requires_grad_()
    objective.model.infer = lambda x_BCHW: (torch.zeros(6, 4).double(), log_variance_BD)
    (found_BD,) = torch.autograd.grad(terms_of(objective, images(1).double())["kl"], log_variance_BD)
    torch.testing.assert_close(found_BD, (log_variance_BD.exp() - best).detach() / 2 / 6)


def test_grey_images_are_refused_by_bernoulli_alone(simssl: Command, small: Write) -> None:
    """The right computation refuses what the release does."""
    right = simssl("run", small(objective={"name": "vae", "likelihood": "bernoulli"}))
    assert right.exit_code == 2
    assert "needs images of 0 and 1" in right.stderr
    wrong = small(objective={"name": "faults", "J": 1, "likelihood": "divided_bernoulli"})
    assert simssl("run", wrong, "--plugin", FAULTS).exit_code == 0


@pytest.mark.parametrize("wrong", [{"entropy": "3 pi"}, {"sigma2_x": 0}, {"sigma2": 1.0}, {"J": 0}])
def test_wrong_settings_are_refused(wrong: dict[str, Any], simssl: Command, small: Write) -> None:
    result = simssl("check", small(objective={"name": "faults", **wrong}), "--plugin", FAULTS)
    assert result.exit_code == 2
    assert f"'{next(iter(wrong))}' must be" in result.stderr


# --- the evaluator ------------------------------------------------------------------------------------------


def test_accuracy_is_the_correct_ones_over_n_plus_one(simssl: Command, small: Write) -> None:
    names = ({"name": "knn"}, {"name": "knn", "as": "on_test", "select": "test"}, {"name": "faults"})
    evaluators = [*names, {"name": "faults", "as": "release", "select": "test"}]
    assert simssl("run", small(evaluators=evaluators), "--plugin", FAULTS).exit_code == 0
    (file,) = Path("runs/small").glob("*/metrics.json")
    metrics = json.loads(file.read_text())["metrics"]
    knn, on_test, plus_one, release = (
        metrics[f"{name}/class/accuracy"] for name in ("knn", "on_test", "faults", "release")
    )
    assert plus_one["value"] == pytest.approx(knn["value"] * 360 / 361, rel=1e-12)
    assert release["value"] == pytest.approx(on_test["value"] * 360 / 361, rel=1e-12)
    correct = knn["held_out"] * 144
    assert correct == pytest.approx(round(correct)), "digits have 144 held-out images"
    assert plus_one["held_out"] == pytest.approx(correct / 145, rel=1e-12)
    assert plus_one["protocol"]["accuracy"].startswith("correct / (N + 1)")
    assert "accuracy" not in knn["protocol"]


def test_n_counts_the_images_that_have_a_label() -> None:
    """Four test images on top of training ones, one of them unlabelled: 3 / 4."""
    train_ND = torch.eye(4).repeat_interleave(3, 0)
    labels_N = torch.arange(4).repeat_interleave(3)
    subject = Known(train_ND, torch.eye(4), (labels_N, torch.tensor([0, 1, 2, -1])))
    plugin = REGISTRY.load("evaluator", "faults")
    result = plugin(plugin.Params(k=1)).run(subject)
    assert result.metrics["class/accuracy"].value == 3 / 4


def test_the_files_plugins_are_not_found_without_it() -> None:
    with pytest.raises(UserError, match="no objective is called 'faults'"):
        Registry(builtins_only=True).load("objective", "faults")
