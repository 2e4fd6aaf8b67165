"""Checks of objectives: the loss, its gradient, and the representation. Those of a whole run are in `training`."""

from __future__ import annotations

import copy
from operator import itemgetter
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector
from torch.utils._pytree import tree_leaves, tree_map

from simssl.api import Objective
from simssl.testing.fixtures import LATENT_DIM, SHAPE, batches, tiny_run
from simssl.testing.outcomes import Check, DoesNotApply
from simssl.testing.permutation import LAYOUTS, Layout, PermutedDraws
from simssl.testing.randomness import leaves_global_randomness
from simssl.testing.steps import encode, keywords, require_training, total, train_steps, untouched
from simssl.training.build import BuiltRun
from simssl.training.contract import check_terms
from simssl.training.views import BySize

ROUNDING = 1e-4
"""Most relative change of a gradient in float32 when sums are added up in another order."""


def loss_is_finite_and_the_sum_of_its_terms(objective: type[Objective], folder: Path) -> None:
    """The terms are finite 0-d tensors with names of their own, and what is recorded as "loss" is their sum."""
    require_training(objective)
    built = tiny_run(objective)
    x_BJCHW, index_B = next(batches(built))
    terms = built.objective(x_BJCHW, index_B, built.generator, **keywords(built, x_BJCHW, index_B))
    check_terms(built.objective, terms)
    for values in (terms.loss, terms.monitor):
        for name, value in values.items():
            assert bool(value.isfinite()), f"the term '{name}' is {value.item()}"
    both = terms.loss.keys() & terms.monitor.keys()
    assert not both, f"'{min(both, default='')}' is a term of the loss and a monitor; give one of them another name"
    for recorded in train_steps(built, folder, 5):
        loss = recorded["loss"]
        summed = sum(recorded[name] for name in terms.loss)
        largest = max(abs(value) for value in recorded.values())
        assert abs(loss - summed) <= 1e-6 * largest, (
            f"the loss is recorded as {loss:g}, and its terms sum up to {summed:g}: a term or a monitor "
            "cannot be called 'loss', which is the name of the sum"
        )


def gradient_reaches_every_trainable_parameter(objective: type[Objective], folder: Path) -> None:
    """No parameter that requires a gradient goes without one."""
    require_training(objective)
    built = tiny_run(objective)
    x_BJCHW, index_B = next(batches(built))
    terms = built.objective(x_BJCHW, index_B, built.generator, **keywords(built, x_BJCHW, index_B))
    total(terms).backward()
    unreached = untouched(built.objective)
    assert not unreached, f"no gradient reaches {', '.join(unreached)}; if that is meant, requires_grad_(False)"


def small_step_along_the_negative_gradient_lowers_the_loss(objective: type[Objective], folder: Path) -> None:
    """A small step lowers the loss by more than a tenth of what the gradient foretells, at some size of step. All that
    is not trained, and all randomness, is the same before and after."""
    require_training(objective)
    built = tiny_run(objective)
    train_steps(built, folder, 2)
    instance = built.objective.train()
    x_BJCHW, index_B = next(batches(built))
    state = copy.deepcopy(instance.state_dict())
    random_state = built.generator.get_state()
    given = keywords(built, x_BJCHW, index_B)

    def loss() -> Tensor:
        built.generator.set_state(random_state)
        terms = instance(x_BJCHW, index_B, built.generator, **given)
        return total(terms)

    parameters = _trained_parameters(instance)
    before = loss()
    gradient = torch.autograd.grad(before, parameters, allow_unused=True, materialize_grads=True)
    slope = parameters_to_vector(gradient).detach().norm()
    length = parameters_to_vector(parameters).detach().norm()
    falls = {}
    for relative in (1e-2, 1e-3, 1e-4):
        instance.load_state_dict(state)
        step = relative * float(length / slope)
        foretold = step * slope.square()
        with torch.no_grad():
            for parameter, of_parameter in zip(parameters, gradient, strict=True):
                parameter.sub_(of_parameter, alpha=step)
            fall = before.detach() - loss()
            falls[relative] = float(fall / foretold)
    assert max(falls.values()) > 0.1, f"steps of {tuple(falls)} times the weights' length change it by {falls}"


def _trained_parameters(instance: Objective) -> list[Tensor]:
    """The parameters that require a gradient."""
    return [parameter for parameter in instance.parameters() if parameter.requires_grad]


def permuting_the_images_changes_only_rounding(objective: type[Objective], folder: Path) -> None:
    """Terms and gradient are the same but for rounding with the images, and what is drawn for each of them, in another
    order. Only for objectives that declare `permutation_invariant`."""
    require_training(objective)
    if not objective.permutation_invariant:
        raise DoesNotApply("it does not declare `permutation_invariant = True`")
    built = tiny_run(objective)
    train_steps(built, folder, 2)
    x_BJCHW, index_B = next(batches(built))
    generator = torch.Generator().manual_seed(0)
    order_B = torch.randperm(len(index_B), generator=generator)
    before, gradient = _terms_and_gradient(built, x_BJCHW, index_B)
    scale = 1e-12 + max(abs(value) for value in before.values())
    length = 1e-12 + gradient.norm()
    largest_changes = {}
    for layout in LAYOUTS:
        permuted = tree_map(itemgetter(order_B), x_BJCHW)
        after, other = _terms_and_gradient(built, permuted, index_B[order_B], (order_B, layout))
        changes = {}
        for name, value in before.items():
            change = abs(after[name] - value)
            changes[f"the term '{name}'"] = change / scale
        difference = (other - gradient).norm()
        changes["the gradient"] = float(difference / length)
        most_changed = max(changes, key=lambda name: changes[name])
        largest_changes[changes[most_changed]] = most_changed
    least = min(largest_changes)
    changed = largest_changes[least]
    assert least <= ROUNDING, f"with the images in another order {changed} changes by {least:.2g} of its size"


def _terms_and_gradient(
    built: BuiltRun,
    x_BJCHW: Tensor | BySize,
    index_B: Tensor,
    along: tuple[Tensor, Layout] | None = None,
) -> tuple[dict[str, float], Tensor]:
    """The terms of the loss and their gradient, all in one vector, from the built run's state, which stays."""
    instance = copy.deepcopy(built.objective).train()
    generator = built.generator.clone_state()
    given = keywords(built, x_BJCHW, index_B)
    if along is None:
        terms = instance(x_BJCHW, index_B, generator, **given)
    else:
        order_B, layout = along
        with PermutedDraws(order_B, len(instance.views), layout):
            terms = instance(x_BJCHW, index_B, generator, **given)
    gradient = torch.autograd.grad(
        total(terms), _trained_parameters(instance), allow_unused=True, materialize_grads=True
    )
    values = {name: value.item() for name, value in terms.loss.items()}
    return values, parameters_to_vector(gradient)


def randomness_comes_from_the_generator_alone(objective: type[Objective], folder: Path) -> None:
    """One state of the generator gives the same views, loss and weights, whatever the global random state. A step (or
    `fit`, for what is not trained) leaves the global random state as it is."""
    built = tiny_run(objective)
    outputs = []
    for seed in (0, 1):
        instance = copy.deepcopy(built.objective)
        generator = built.generator.clone_state()
        with leaves_global_randomness(seed, "the generator that is handed in"):
            outputs.append(_some_work(built, instance, generator))
    assert torch.equal(*outputs), "from the same state of the generator comes another result"


def _some_work(built: BuiltRun, instance: Objective, generator: torch.Generator) -> Tensor:
    """The results of an epoch's beginning and of a step, or of `fit`, in one vector."""
    images_NCHW = built.data.train.images
    plain_NCHW = built.views.plain(images_NCHW)
    if not instance.trained:
        instance.fit(iter([plain_NCHW]), generator)
        return encode(instance).flatten()

    def encode_all() -> Tensor:
        with torch.no_grad():
            return instance.posterior(plain_NCHW).mean

    weights_N = instance.before_epoch(0, encode_all, generator)
    index_B = torch.arange(6)
    x_BJCHW = built.views.batch(images_NCHW[:6], instance.views, generator)
    terms = instance.train()(x_BJCHW, index_B, generator, **keywords(built, x_BJCHW, index_B))
    instance.after_step(torch.tensor(0.5))
    loss = total(terms).detach()
    results = [*(of_one_size.flatten() for of_one_size in tree_leaves(x_BJCHW)), loss[None]]
    if weights_N is not None:
        results.append(weights_N.flatten())
    for value in instance.state_dict().values():
        flat = value.detach().flatten()
        results.append(flat.double())
    results.append(encode(instance).flatten())
    return torch.cat(results)


def representation_is_deterministic(objective: type[Objective], folder: Path) -> None:
    """The representation in evaluation is (B, latent_dim) in float32. It is the same each time, and that of an image is
    the same alone as in a batch."""
    built = tiny_run(objective)
    train_steps(built, folder, 2)
    z_BD = encode(built.objective)
    shape = tuple(z_BD.shape)
    assert shape == (4, LATENT_DIM), f"it is {shape} of 4 images, not (4, {LATENT_DIM})"
    assert z_BD.dtype == torch.float32, f"it is {z_BD.dtype}; end with .float()"
    assert torch.equal(z_BD, encode(built.objective)), "it is another each time"
    alone_1D = encode(built.objective, 1)
    assert torch.allclose(z_BD[:1], alone_1D, atol=1e-5), "it depends on the batch"


def decoder_returns_images(objective: type[Objective], folder: Path) -> None:
    """Logits have the images' shape, and the expected images lie in [0, 1]. Only for objectives that decode."""
    instance = tiny_run(objective).objective
    if not instance.decodes:
        raise DoesNotApply("it has no decoder")
    assert instance.likelihood is not None
    logits_BCHW = instance.decode(torch.randn(4, LATENT_DIM))
    mean_BCHW = instance.likelihood.mean(logits_BCHW)
    shape = (4, *SHAPE)
    for name, images in (("the logits", logits_BCHW), ("the expected images", mean_BCHW)):
        assert images.shape == shape, f"{name} are {tuple(images.shape)}, not {shape}"
    within_BCHW = (mean_BCHW >= 0) & (mean_BCHW <= 1)
    assert bool(within_BCHW.all()), "expected images leave [0, 1]"
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
