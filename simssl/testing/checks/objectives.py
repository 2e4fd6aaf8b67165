"""Checks of objectives: the loss, its gradient, and the representation. Those of a whole run are in `training`."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from simssl.api import Objective
from simssl.testing.fixtures import LATENT_DIM, SHAPE, batches, tiny_run
from simssl.testing.outcomes import Check, DoesNotApply
from simssl.testing.permutation import LAYOUTS, Layout, PermutedDraws
from simssl.testing.randomness import leaves_global_randomness
from simssl.testing.steps import encode, require_training, total, train_steps, untouched
from simssl.training.build import BuiltRun
from simssl.training.contract import check_terms

ROUNDING = 1e-4
"""Most relative change of a gradient in float32 when sums are added up in another order."""


def loss_is_finite_and_the_sum_of_its_terms(objective: type[Objective], folder: Path) -> None:
    """The terms are finite 0-d tensors with names of their own, and what is recorded as "loss" is their sum."""
    require_training(objective)
    built = tiny_run(objective)
    terms = built.objective(*next(batches(built)), built.generator)
    check_terms(built.objective, terms)
    for name, value in (*terms.loss.items(), *terms.monitor.items()):
        assert bool(value.isfinite()), f"the term '{name}' is {value.item()}"
    both = terms.loss.keys() & terms.monitor.keys()
    assert not both, f"'{min(both, default='')}' is a term of the loss and a monitor; give one of them another name"
    logs = train_steps(built, folder, 5)
    for recorded in logs:
        total = sum(recorded[name] for name in terms.loss)
        assert abs(recorded["loss"] - total) <= 1e-6 * max(abs(recorded[name]) for name in recorded), (
            f"the loss is recorded as {recorded['loss']:g}, and its terms sum up to {total:g}: a term or a monitor "
            "cannot be called 'loss', which is the name of the sum"
        )


def gradient_reaches_every_trainable_parameter(objective: type[Objective], folder: Path) -> None:
    """No parameter that requires a gradient goes without one."""
    require_training(objective)
    built = tiny_run(objective)
    terms = built.objective(*next(batches(built)), built.generator)
    total(terms).backward()
    unreached = untouched(built.objective)
    assert not unreached, f"no gradient reaches {', '.join(unreached)}; if that is meant, requires_grad_(False)"


def small_step_along_the_negative_gradient_lowers_the_loss(objective: type[Objective], folder: Path) -> None:
    """By a tenth of what the gradient foretells, at some size of step; all that is not trained, and all
    randomness, is the same before and after."""
    require_training(objective)
    built = tiny_run(objective)
    train_steps(built, folder, 2)
    instance, (views, index_B) = built.objective.train(), next(batches(built))
    state, own = copy.deepcopy(instance.state_dict()), built.generator.get_state()

    def loss() -> Tensor:
        built.generator.set_state(own)
        return total(instance(views, index_B, built.generator))

    parameters: list[Tensor] = [p for p in instance.parameters() if p.requires_grad]
    before = loss()
    gradient = torch.autograd.grad(before, parameters, allow_unused=True, materialize_grads=True)
    slope, length = (parameters_to_vector(tensors).detach().norm() for tensors in (gradient, parameters))
    falls = {}
    for relative in (1e-2, 1e-3, 1e-4):
        instance.load_state_dict(state)
        step = relative * float(length / slope)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradient, alpha=-step)
            falls[relative] = float((before.detach() - loss()) / (step * slope.square()))
    assert max(falls.values()) > 0.1, f"steps of {tuple(falls)} times the weights' length change it by {falls}"


def permuting_the_images_changes_only_rounding(objective: type[Objective], folder: Path) -> None:
    """For objectives that declare `permutation_invariant`: with the images in another order, and what is drawn for
    each image along with it, terms and gradient are the same but for rounding."""
    require_training(objective)
    if not objective.permutation_invariant:
        raise DoesNotApply("it does not declare `permutation_invariant = True`")
    built = tiny_run(objective)
    train_steps(built, folder, 2)
    x_BJCHW, index_B = next(batches(built))
    order_B = torch.randperm(len(index_B), generator=torch.Generator().manual_seed(0))
    before, gradient = _terms_and_gradient(built, x_BJCHW, index_B)
    told = {}
    for layout in LAYOUTS:
        after, other = _terms_and_gradient(built, x_BJCHW[order_B], index_B[order_B], (order_B, layout))
        scale = 1e-12 + max(abs(value) for value in before.values())
        changes = {f"the term '{name}'": abs(after[name] - before[name]) / scale for name in before}
        changes["the gradient"] = float((other - gradient).norm() / (1e-12 + gradient.norm()))
        told[max(changes.values())] = max(changes, key=lambda name: changes[name])
    least = min(told)
    assert least <= ROUNDING, f"with the images in another order {told[least]} changes by {least:.2g} of its size"


def _terms_and_gradient(
    built: BuiltRun, x_BJCHW: Tensor, index_B: Tensor, along: tuple[Tensor, Layout] | None = None
) -> tuple[dict[str, float], Tensor]:
    """The terms of the loss and their gradient, all in one vector, from the built's state, which stays."""
    instance, generator = copy.deepcopy(built.objective).train(), built.generator.clone_state()
    if along is None:
        terms = instance(x_BJCHW, index_B, generator)
    else:
        with PermutedDraws(along[0], x_BJCHW.shape[1], along[1]):
            terms = instance(x_BJCHW, index_B, generator)
    parameters = [p for p in instance.parameters() if p.requires_grad]
    gradient = torch.autograd.grad(total(terms), parameters, allow_unused=True, materialize_grads=True)
    return {name: value.item() for name, value in terms.loss.items()}, parameters_to_vector(gradient)


def randomness_comes_from_the_generator_alone(objective: type[Objective], folder: Path) -> None:
    """From one state of the generator come the same views, loss and weights whatever the global random state, which
    a step (for what is not trained, `fit`) leaves as it is."""
    built = tiny_run(objective)
    outputs = []
    for seed in (0, 1):
        instance, generator = copy.deepcopy(built.objective), built.generator.clone_state()
        with leaves_global_randomness(seed, "the generator that is handed in"):
            outputs.append(_some_work(built, instance, generator))
    assert torch.equal(*outputs), "from the same state of the generator comes another result"


def _some_work(built: BuiltRun, instance: Objective, generator: torch.Generator) -> Tensor:
    """An epoch's beginning and a step, or `fit`; its results in one vector."""
    plain_NCHW = built.views.plain(built.data.train.images)
    if not instance.trained:
        instance.fit(iter([plain_NCHW]), generator)
        return encode(instance).flatten()

    def encode_all() -> Tensor:
        with torch.no_grad():
            return instance.posterior(plain_NCHW).mean

    weights_N = instance.before_epoch(0, encode_all, generator)
    index_B = torch.arange(6)
    x_BJCHW = built.views.batch(built.data.train.images[:6], instance.views, generator)
    terms = instance.train()(x_BJCHW, index_B, generator)
    instance.after_step(torch.tensor(0.5))
    drawn = [weights_N.flatten()] if weights_N is not None else []
    state = [value.detach().flatten().double() for value in instance.state_dict().values()]
    return torch.cat([x_BJCHW.flatten(), total(terms).detach()[None], *drawn, *state, encode(instance).flatten()])


def representation_is_deterministic(objective: type[Objective], folder: Path) -> None:
    """In evaluation: (B, latent_dim) in float32, the same each time, and of an image alone as of one in a batch."""
    built = tiny_run(objective)
    train_steps(built, folder, 2)
    z_BD = encode(built.objective)
    assert z_BD.shape == (4, LATENT_DIM), f"it is {tuple(z_BD.shape)} of 4 images, not (4, {LATENT_DIM})"
    assert z_BD.dtype == torch.float32, f"it is {z_BD.dtype}; end with .float()"
    assert torch.equal(z_BD, encode(built.objective)), "it is another each time"
    assert torch.allclose(z_BD[:1], encode(built.objective, 1), atol=1e-5), "it depends on the batch"


def decoder_returns_images(objective: type[Objective], folder: Path) -> None:
    """For objectives that decode: logits of the images' shape, whose expected images lie in [0, 1]."""
    instance = tiny_run(objective).objective
    if not instance.decodes:
        raise DoesNotApply("it has no decoder")
    assert instance.likelihood is not None
    logits_BCHW = instance.decode(torch.randn(4, LATENT_DIM))
    mean_BCHW = instance.likelihood.mean(logits_BCHW)
    shape = (4, *SHAPE)
    for name, images in (("the logits", logits_BCHW), ("the expected images", mean_BCHW)):
        assert images.shape == shape, f"{name} are {tuple(images.shape)}, not {shape}"
    assert bool(((mean_BCHW >= 0) & (mean_BCHW <= 1)).all()), "expected images leave [0, 1]"
    log_prob_B = instance.likelihood.log_prob(torch.ones(shape), logits_BCHW)
    assert log_prob_B.shape == (4,), f"log_prob is {tuple(log_prob_B.shape)} of 4 images, not (4,)"


CHECKS: tuple[Check, ...] = (
    loss_is_finite_and_the_sum_of_its_terms,
    gradient_reaches_every_trainable_parameter,
    small_step_along_the_negative_gradient_lowers_the_loss,
    permuting_the_images_changes_only_rounding,
    randomness_comes_from_the_generator_alone,
    representation_is_deterministic,
    decoder_returns_images,
)
