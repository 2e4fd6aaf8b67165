"""The named checks of each kind of plugin. Each takes the plugin's class and an empty folder, and asserts."""

from __future__ import annotations

import copy
import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from simssl.api import Dataset, Evaluator, Metric, Objective, Result, RunInfo, Subject, Tracker
from simssl.experiment.model import Choice
from simssl.measurement.evaluate import why_skipped
from simssl.measurement.subject import FrozenSubject
from simssl.testing.fixtures import (
    LATENT_DIM,
    SHAPE,
    TinyEncoder,
    TinyObjective,
    batches,
    default_params,
    load_example,
    tiny_assembly,
)
from simssl.testing.host_sync import refuse_host_synchronisation
from simssl.testing.recording import Recorder
from simssl.training import checkpoint
from simssl.training.folder import RunFolder
from simssl.training.trackers import Trackers
from simssl.training.train import Trainer

Check = Callable[[Any, Path], None]


# --- every kind ------------------------------------------------------------------------------------------


def parameters_are_documented(plugin: Any, folder: Path) -> None:
    assert inspect.getdoc(plugin), f"{plugin.__name__} has no docstring"
    silent = [name for name, field in plugin.Params.model_fields.items() if not field.description]
    assert not silent, f"put a docstring under {', '.join(silent)} in {plugin.__name__}.Params"


def defaults_are_valid(plugin: Any, folder: Path) -> None:
    params = default_params(plugin)
    assert plugin.Params.model_validate_json(params.model_dump_json()) == params


# --- data sets -------------------------------------------------------------------------------------------


def loads_what_it_writes(dataset: type[Dataset], folder: Path) -> None:
    data = load_example(dataset, folder)
    assert len(data.train) > 0
    if data.test is not None:
        assert data.test.images.shape[1:] == data.train.images.shape[1:]
        assert data.test.targets.keys() == data.train.targets.keys()


def labels_name_their_classes(dataset: type[Dataset], folder: Path) -> None:
    data = load_example(dataset, folder)
    for split in (data.train, data.test):
        for name, target in (split.targets if split else {}).items():
            if target.classes is None:
                assert target.values.is_floating_point(), f"'{name}' has neither classes nor floats"
            else:
                low, high = int(target.values.min()), int(target.values.max())
                assert -1 <= low <= high < len(target.classes), f"'{name}' has labels from {low} to {high}"


def fingerprint_is_of_the_content(dataset: type[Dataset], folder: Path) -> None:
    assert load_example(dataset, folder).fingerprint == load_example(dataset, folder).fingerprint


# --- backbones -------------------------------------------------------------------------------------------

SHAPES = ((1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 17, 35), (3, 97, 100))


def networks_have_the_shapes_they_are_asked_for(backbone: Any, folder: Path) -> None:
    built = backbone(default_params(backbone))
    for shape in SHAPES:
        x_BCHW = torch.rand(4, *shape)
        assert built.encoder(shape, 7)(x_BCHW).shape == (4, 7)
        assert built.decoder(shape, 5)(torch.randn(4, 5)).shape == x_BCHW.shape


def no_image_depends_on_the_others_in_evaluation(backbone: Any, folder: Path) -> None:
    built = backbone(default_params(backbone))
    for network, x in (
        (built.encoder(SHAPES[0], 7), torch.rand(4, *SHAPES[0])),
        (built.decoder(SHAPES[0], 5), torch.randn(4, 5)),
    ):
        network(x)
        with torch.no_grad():
            together, alone = network.eval()(x)[:1], network(x[:1])
            assert (together - alone).abs().max() <= 1e-4 * together.abs().max(), "it depends on the batch"


def gradient_reaches_every_weight(backbone: Any, folder: Path) -> None:
    built = backbone(default_params(backbone))
    for network, x in (
        (built.encoder(SHAPES[0], 7), torch.rand(4, *SHAPES[0])),
        (built.decoder(SHAPES[0], 5), torch.randn(4, 5)),
    ):
        network(x).square().sum().backward()
        _assert_gradients(network)


def weights_follow_the_seed(backbone: Any, folder: Path) -> None:
    built = backbone(default_params(backbone))

    def weights(seed: int) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return torch.nn.utils.parameters_to_vector(built.encoder(SHAPES[0], 7).parameters())

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


# --- objectives ------------------------------------------------------------------------------------------


def loss_terms_are_finite_scalars(objective: type[Objective], folder: Path) -> None:
    if not objective.trained:
        return
    assembly = tiny_assembly(objective)
    terms = assembly.objective(*next(batches(assembly)), assembly.generator)
    assert terms.loss, "there is no term of the loss"
    for name, value in (*terms.loss.items(), *terms.monitor.items()):
        assert value.shape == (), f"the term '{name}' has the shape {tuple(value.shape)}, not ()"
        assert bool(value.isfinite()), f"the term '{name}' is {value.item()}"
    assert not terms.loss.keys() & terms.monitor.keys()


def gradient_reaches_every_trainable_parameter(objective: type[Objective], folder: Path) -> None:
    if not objective.trained:
        return
    assembly = tiny_assembly(objective)
    terms = assembly.objective(*next(batches(assembly)), assembly.generator)
    sum(terms.loss.values(), torch.zeros(())).backward()
    _assert_gradients(assembly.objective)


def _assert_gradients(module: torch.nn.Module) -> None:
    untouched = [n for n, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not untouched, f"no gradient reaches {', '.join(untouched)}"


def small_step_along_the_negative_gradient_lowers_the_loss(objective: type[Objective], folder: Path) -> None:
    """By a tenth of what the gradient foretells, at some size of step; all that is not trained, and all
    randomness, is the same before and after."""
    if not objective.trained:
        return
    assembly = tiny_assembly(objective)
    _train(assembly, folder, 2)
    built, (views, index_B) = assembly.objective.train(), next(batches(assembly))
    state, own = copy.deepcopy(built.state_dict()), assembly.generator.get_state()

    def loss() -> Tensor:
        assembly.generator.set_state(own)
        return torch.stack(list(built(views, index_B, assembly.generator).loss.values())).sum()

    parameters: list[Tensor] = [p for p in built.parameters() if p.requires_grad]
    before = loss()
    gradient = torch.autograd.grad(before, parameters, allow_unused=True, materialize_grads=True)
    slope, length = (parameters_to_vector(tensors).detach().norm() for tensors in (gradient, parameters))
    falls = {}
    for relative in (1e-2, 1e-3, 1e-4):
        built.load_state_dict(state)
        step = relative * float(length / slope)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradient, alpha=-step)
            falls[relative] = float((before.detach() - loss()) / (step * slope.square()))
    assert max(falls.values()) > 0.1, f"steps of {tuple(falls)} times the weights' length change it by {falls}"


def randomness_comes_from_the_generator_alone(objective: type[Objective], folder: Path) -> None:
    assembly = tiny_assembly(objective)
    before, own = torch.get_rng_state(), assembly.generator.get_state()
    outputs = []
    for _ in range(2):
        assembly.generator.set_state(own)
        if objective.trained:
            terms = copy.deepcopy(assembly.objective)(*next(batches(assembly)), assembly.generator)
            outputs.append(torch.stack(list(terms.loss.values())))
        else:
            fitted = copy.deepcopy(assembly.objective)
            fitted.fit(iter([assembly.views.plain(assembly.data.train.images)]), assembly.generator)
            outputs.append(_encode(fitted))
    assert torch.equal(*outputs), "the same generator state gives another loss"
    assert torch.equal(before, torch.get_rng_state()), "the default generator was used"


def representation_is_deterministic(objective: type[Objective], folder: Path) -> None:
    assembly = tiny_assembly(objective)
    _train(assembly, folder, 2)
    z_BD = _encode(assembly.objective)
    assert z_BD.shape == (4, LATENT_DIM)
    assert z_BD.dtype == torch.float32
    assert torch.equal(z_BD, _encode(assembly.objective))
    assert torch.allclose(z_BD[:1], _encode(assembly.objective, 1), atol=1e-5), "it depends on the batch"


def state_survives_a_round_trip(objective: type[Objective], folder: Path) -> None:
    assembly, other = tiny_assembly(objective), tiny_assembly(objective, seed=1)
    _train(assembly, folder, 2)
    file = folder / "state.pt"
    checkpoint.save(file, dict.fromkeys(checkpoint.ALWAYS, 0) | {"objective": assembly.objective.state_dict()})
    state = checkpoint.load(file)
    assert state is not None
    other.objective.load_state_dict(state["objective"])
    assert torch.equal(_encode(assembly.objective), _encode(other.objective))


def resumed_run_is_bit_equal(objective: type[Objective], folder: Path) -> None:
    whole, broken, resumed = (tiny_assembly(objective) for _ in range(3))
    _train(whole, folder / "whole", 7)
    _train(broken, folder / "broken", 3, save=True)
    _train(resumed, folder / "broken", 7)
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(value, resumed.objective.state_dict()[name]), f"{name} differs after a resumption"


def host_never_waits_in_a_step(objective: type[Objective], folder: Path) -> None:
    if not objective.trained:
        return
    assembly = tiny_assembly(objective)
    views, index_B = next(batches(assembly))
    half = torch.tensor(0.5)
    with refuse_host_synchronisation():
        terms = assembly.objective(views, index_B, assembly.generator)
        torch.stack(list(terms.loss.values())).sum().backward()
        assembly.objective.after_step(half)


def replayed_steps_are_the_eager_ones(objective: type[Objective], folder: Path) -> None:
    """As from a CUDA graph: the operations of a step, recorded once and repeated, are the next steps."""
    if not objective.trained or not objective.capturable:
        return
    eager, replayed = tiny_assembly(objective), tiny_assembly(objective)
    recorder = Recorder()
    _train(eager, folder / "eager", 10)
    _train(replayed, folder / "replayed", 10, graphs=recorder)
    assert recorder.replays, "its step cannot be captured, for the reason in the log; or declare `capturable = False`"
    for name, value in eager.objective.state_dict().items():
        assert torch.equal(value, replayed.objective.state_dict()[name]), f"{name} differs where steps are replayed"


def decoder_returns_images(objective: type[Objective], folder: Path) -> None:
    built = tiny_assembly(objective).objective
    if not built.decodes:
        return
    assert built.likelihood is not None
    logits_BCHW = built.decode(torch.randn(4, LATENT_DIM))
    mean_BCHW = built.likelihood.mean(logits_BCHW)
    assert logits_BCHW.shape == mean_BCHW.shape == (4, *SHAPE)
    assert bool(((mean_BCHW >= 0) & (mean_BCHW <= 1)).all())
    assert built.likelihood.log_prob(torch.ones(4, *SHAPE), logits_BCHW).shape == (4,)


def _encode(objective: Objective, images: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x_BCHW = torch.rand(4, *SHAPE, generator=generator)[:images]
    with torch.no_grad():
        return objective.eval().posterior(x_BCHW).mean


def _train(assembly: Any, folder: Path, steps: int, save: bool = False, graphs: Recorder | None = None) -> None:
    folder.mkdir(exist_ok=True)
    trainer = Trainer(assembly, RunFolder(folder), graphs)
    trainer.restore()
    while assembly.steps and trainer.step < steps:
        trainer.train_step()
        trainer.log_and_save(Trackers({}, print))
    if save:
        trainer.save()


# --- evaluators ------------------------------------------------------------------------------------------


def result_is_well_formed(evaluator: type[Evaluator], folder: Path) -> None:
    result = _evaluate(evaluator, folder)
    if result is None:
        return
    assert result.metrics or result.skipped, "there is no metric"
    for name in (*result.metrics, *result.skipped):
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name), f"'{name}' is neither <metric> nor <target>/<metric>"
    for name, metric in result.metrics.items():
        assert metric.unit, f"'{name}' has no unit"
        assert metric.better in ("higher", "lower", None)
        json.dumps([metric.value, dict(metric.protocol)], allow_nan=False)
    assert result.protocol, "there is no protocol"
    json.dumps(dict(result.protocol), allow_nan=False)
    for name, picture in result.images.items():
        assert picture.dtype == torch.uint8, f"the picture '{name}' is {picture.dtype}"
        assert picture.ndim == 3, f"the picture '{name}' has the shape {tuple(picture.shape)}"


def result_repeats(evaluator: type[Evaluator], folder: Path) -> None:
    first, second = _evaluate(evaluator, folder), _evaluate(evaluator, folder)
    if first is not None and second is not None:
        assert first.metrics == second.metrics


def model_is_left_alone(evaluator: type[Evaluator], folder: Path) -> None:
    assembly = _applicable(evaluator)
    if assembly is None:
        return
    before = copy.deepcopy(assembly.objective.state_dict())
    _evaluate(evaluator, folder, assembly)
    for name, value in assembly.objective.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} was changed"
    assert not any(p.grad is not None for p in assembly.objective.parameters())


def _applicable(evaluator: type[Evaluator]) -> Any:
    """A method that the evaluator applies to: with all that one can have, or an encoder alone."""
    built = evaluator(default_params(evaluator))
    assemblies = (tiny_assembly(objective) for objective in (TinyObjective, TinyEncoder))
    return next((assembly for assembly in assemblies if why_skipped(built, assembly) is None), None)


def _evaluate(evaluator: type[Evaluator], folder: Path, assembly: Any = None) -> Result | None:
    assembly = assembly or _applicable(evaluator)
    if assembly is None:
        return None
    built = evaluator(default_params(evaluator))
    built.check(assembly.data)
    with torch.no_grad():
        return built.run(FrozenSubject(assembly, RunFolder(folder), "evaluator"))


# --- trackers --------------------------------------------------------------------------------------------


def follows_a_run(tracker: type[Tracker], folder: Path) -> None:
    _follow(tracker, folder, start_step=0, error=None)


def follows_a_run_that_goes_on_and_fails(tracker: type[Tracker], folder: Path) -> None:
    _follow(tracker, folder, start_step=5, error=RuntimeError("the disk is full"))


def _follow(tracker: type[Tracker], folder: Path, start_step: int, error: BaseException | None) -> None:
    built = tracker(default_params(tracker))
    assembly = tiny_assembly()
    settings = {"objective": Choice("objective", "tiny", assembly.objective.params).resolved}
    subject: Subject = FrozenSubject(assembly, RunFolder(folder), "evaluator")
    built.started(RunInfo(folder, "tiny", "tiny", 0, "cpu", start_step, 10, 6, settings))
    for step in (start_step + 2, 10):
        built.logged(step, {"loss": 1.5, "reconstruction": 1.0, "kl": 0.5})
    picture = torch.zeros(1, 16, 16, dtype=torch.uint8)
    built.evaluated(Result({"rank": Metric(2.0, "dimensions")}, {"test": picture}, {}, "effective_rank"), subject)
    built.ended(error)


CHECKS: dict[str, dict[str, Check]] = {
    kind: {check.__name__: check for check in (parameters_are_documented, defaults_are_valid, *checks)}
    for kind, checks in {
        "dataset": (loads_what_it_writes, labels_name_their_classes, fingerprint_is_of_the_content),
        "backbone": (
            networks_have_the_shapes_they_are_asked_for,
            no_image_depends_on_the_others_in_evaluation,
            gradient_reaches_every_weight,
            weights_follow_the_seed,
        ),
        "objective": (
            loss_terms_are_finite_scalars,
            gradient_reaches_every_trainable_parameter,
            small_step_along_the_negative_gradient_lowers_the_loss,
            randomness_comes_from_the_generator_alone,
            representation_is_deterministic,
            state_survives_a_round_trip,
            resumed_run_is_bit_equal,
            host_never_waits_in_a_step,
            replayed_steps_are_the_eager_ones,
            decoder_returns_images,
        ),
        "evaluator": (result_is_well_formed, result_repeats, model_is_left_alone),
        "tracker": (follows_a_run, follows_a_run_that_goes_on_and_fails),
    }.items()
}
"""The checks of each kind, by name."""
