"""The objectives with a moving-average teacher, against slow references and the cases whose value is known."""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import references
import torch
from references import REGISTRY
from torch import Tensor, nn

from simssl.api import Shape
from simssl.blocks.networks.batch_norm import SplitBatchNorm, has_batch_norm
from simssl.experiment.settings import Training
from simssl.params import Params
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import SHAPE, StubRegistry, TinyBackbone, TinyDataset, tiny_experiment
from simssl.testing.recording import Recorder
from simssl.training.build import build_run
from simssl.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("float64")
METHODS = ("moco", "byol", "dino")
GENERATOR = torch.Generator().manual_seed(3)


class NormBackbone(TinyBackbone):
    """The tiny encoder with batch norm behind a convolution and behind a linear layer."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        convolution = nn.Conv2d(shape[0], 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()
        return nn.Sequential(*convolution, nn.Linear(36, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, outputs))


def build(name: str, images: int = 6, norm: bool = False, **params: object) -> Any:
    return references.build(name, images, NormBackbone if norm else TinyBackbone, **params)


def views(B: int = 6) -> Tensor:
    return torch.rand(B, 2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def same_views(B: int = 6) -> Tensor:
    return views(B)[:, :1].repeat(1, 2, 1, 1, 1)


def terms(objective: Any, x_BJCHW: Tensor, seed: int = 7) -> Any:
    return objective(x_BJCHW, torch.arange(len(x_BJCHW)), torch.Generator().manual_seed(seed))


def the_loss(objective: Any, x_BJCHW: Tensor) -> Tensor:
    (value,) = terms(objective, x_BJCHW).loss.values()
    return value  # type: ignore[no-any-return]


def disturb(module: nn.Module) -> None:
    """Other values for all parameters, as after some steps."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, dtype=p.dtype, generator=GENERATOR))


def assert_same_gradient(objective: nn.Module, ours: Tensor, reference: Tensor) -> None:
    parameters = [p for p in objective.parameters() if p.requires_grad]
    pairs = (torch.autograd.grad(value, parameters) for value in (ours, reference))
    for gradient, expected in zip(*pairs, strict=True):
        assert expected.abs().max() > 0
        torch.testing.assert_close(gradient, expected)


# --- plain loops over rows -------------------------------------------------------------------------------


def dot(a_P: Tensor, b_P: Tensor) -> Tensor:
    return sum((a * b for a, b in zip(a_P, b_P, strict=True)), torch.zeros((), dtype=torch.float64))


def unit(a_P: Tensor) -> Tensor:
    return a_P / dot(a_P, a_P).sqrt()


def softmax(scores: list[Tensor]) -> list[Tensor]:
    total = sum(s.exp() for s in scores)
    return [s.exp() / total for s in scores]


# --- MoCo ------------------------------------------------------------------------------------------------


def slow_moco(objective: Any, x_BJCHW: Tensor, queue: Tensor, temperature: float) -> Tensor:
    total, B = torch.zeros((), dtype=torch.float64), len(x_BJCHW)
    for b in range(B):
        for j in (0, 1):
            q = unit(objective.layers(x_BJCHW[b, j][None])["projection"][0])
            key = unit(objective.teacher.network(x_BJCHW[b, 1 - j][None])[0])
            scores = [dot(q, key) / temperature, *(dot(q, k) / temperature for k in queue)]
            total = total - softmax(scores)[0].log()
    return total / (2 * B)


def test_moco_against_loops() -> None:
    objective, x = build("moco", queue=13, temperature=0.3, head=(5, 3)), views()
    disturb(objective.teacher)
    queue = nn.functional.normalize(torch.randn(13, 3, dtype=torch.float64, generator=GENERATOR), dim=1)
    objective.queue.copy_(queue)
    ours, expected = the_loss(objective, x), slow_moco(objective, x, queue, 0.3)
    torch.testing.assert_close(ours, expected)
    assert_same_gradient(objective, ours, expected)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ("collapsed", lambda T: math.log(9)),
        ("orthogonal", lambda T: math.log(1 + 8 * math.exp(-1 / T))),
        ("opposite", lambda T: math.log(1 + 8 * math.exp(-2 / T))),
    ],
)
def test_moco_where_queries_meet_their_keys(
    others: str, expected: Callable[[float], float], temperature: float
) -> None:
    """Identical views at the start, where teacher and student are one and all images project onto one direction."""
    objective = build("moco", queue=12, temperature=temperature, head=(3,))
    with torch.no_grad():
        for head in (objective.head, objective.teacher.network[1]):
            head[0].weight.zero_()
            head[0].bias.copy_(torch.tensor([2.0, 0.0, 0.0]))
        rows = {"collapsed": [1.0, 0.0, 0.0], "orthogonal": [0.0, 1.0, 0.0], "opposite": [-1.0, 0.0, 0.0]}
        objective.queue = torch.tensor([rows[others]] * 8, dtype=torch.float64)
    assert the_loss(objective, same_views()).item() == pytest.approx(expected(temperature), rel=1e-9)


def test_moco_queue_starts_with_random_rows_of_length_one() -> None:
    queue = build("moco", queue=500, head=(3,)).queue
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(500, dtype=torch.float64))
    assert queue.mean(0).norm().item() < 0.2  # in all directions
    assert queue.std(0).min().item() > 0.4


def test_moco_queue_is_a_ring() -> None:
    """Twelve keys a step into a queue of twenty: the second step's wrap around, the oldest are replaced first."""
    objective, x = build("moco", queue=20, head=(3,)), views()
    ring, position = objective.queue.tolist(), 0
    for step in range(4):
        keys = [
            unit(objective.teacher.network(x_CHW[None])[0]).tolist() for j in (0, 1) for x_CHW in x.roll(step, 0)[:, j]
        ]
        terms(objective, x.roll(step, 0))
        assert objective.queue.tolist() == ring, "forward leaves the queue alone"
        disturb(objective.head)
        objective.after_step(torch.full((), 0.5))
        for key in keys:
            ring[position % 20] = key
            position += 1
        torch.testing.assert_close(objective.queue, torch.tensor(ring, dtype=torch.float64))
        ring = objective.queue.tolist()
        assert objective.position.item() == position % 20


def test_moco_queue_of_exactly_a_steps_keys() -> None:
    objective = build("moco", queue=12, head=(3,))
    old = objective.queue.clone()
    terms(objective, views())
    objective.after_step(torch.full((), 0.5))
    assert objective.position.item() == 0
    assert not (objective.queue == old).any()
    with pytest.raises(ValueError, match="a queue of 11 cannot hold the 12 keys of a step"):
        build("moco", queue=11)


def test_moco_queues_the_keys_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = build("moco", queue=30, head=(3,))
    module = importlib.import_module(type(objective).__module__)
    monkeypatch.setattr(module, "gather", lambda k: torch.cat([k, -k]))
    loss = the_loss(objective, views())
    torch.testing.assert_close(loss, the_loss(build("moco", queue=30, head=(3,)), views()))
    objective.after_step(torch.full((), 0.5))
    assert objective.position.item() == 24
    torch.testing.assert_close(objective.queue[:6], -objective.queue[6:12])


def test_moco_key_encoder_is_the_average_with_its_buffers() -> None:
    objective = build("moco", 16, norm=True, momentum=0.75)
    for _ in range(2):
        old = copy.deepcopy(objective.teacher.network.state_dict())
        terms(objective, views(16))
        disturb(objective.encoder)
        student = nn.Sequential(objective.encoder, objective.head).state_dict()
        objective.after_step(torch.full((), 0.5))
        for name, value in objective.teacher.network.state_dict().items():
            counter = name.endswith("num_batches_tracked")
            expected = student[name] if counter else 0.75 * old[name] + 0.25 * student[name]
            torch.testing.assert_close(value, expected)
            assert counter or name.startswith("1.") or not torch.equal(value, old[name])


@pytest.mark.parametrize(
    ("norm", "images", "asked", "splits"),
    [
        (True, 64, {}, 8),
        (True, 61, {"batch_norm_splits": 1}, 1),
        (True, 64, {"batch_norm_splits": 4}, 4),
        (False, 61, {}, 1),
        (False, 1, {}, 1),
    ],
)
def test_moco_splits_batch_norm(norm: bool, images: int, asked: dict[str, int], splits: int) -> None:
    objective = build("moco", images, norm, **asked)
    for encoder in (objective.encoder, objective.teacher):
        norms = [m for m in encoder.modules() if not list(m.children()) and has_batch_norm(m)]
        expected = 2 * splits if splits > 1 else 1  # both views are one batch
        assert [getattr(m, "splits", 1) for m in norms] == [expected] * (2 if norm else 0)


@pytest.mark.parametrize(
    ("images", "asked", "message"),
    [
        (60, 8, "the 60 images of a step do not split into 8 equal parts .* set 'batch_norm_splits: 6'"),
        (61, 8, "the 61 images of a step do not split into 8 equal parts .* set 'batch_norm_splits: 1'"),
        (8, 8, "parts of two or more; .* set 'batch_norm_splits: 4'"),
    ],
)
def test_moco_refuses_a_batch_that_does_not_divide(images: int, asked: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("moco", images, norm=True, batch_norm_splits=asked)


def unsplit(network: nn.Module) -> nn.Module:
    """A copy whose batch norms take the whole batch for one part, and move their running statistics at once."""
    copied = copy.deepcopy(network)
    for module in copied.modules():
        if isinstance(module, SplitBatchNorm):
            module.splits = 1
            module.follows_later = False
    return copied


def test_moco_permutes_the_keys_and_puts_them_back() -> None:
    """Which images are normalised together is drawn, view by view; whose key is whose is not."""
    objective, x = build("moco", 12, norm=True, batch_norm_splits=3, head=(3,)), views(12)
    one, again, other = (objective._keys(x, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    generator = torch.Generator().manual_seed(0)
    network = unsplit(objective.teacher.network)
    for j in (0, 1):
        order = torch.rand(12, generator=generator).argsort().tolist()
        for part in (order[0::3], order[1::3], order[2::3]):
            for i, key in zip(part, network(x[part, j]), strict=True):
                torch.testing.assert_close(one[i, j], unit(key))
    objective.eval()
    still = objective._keys(x, torch.Generator().manual_seed(2))
    for j in (0, 1):
        torch.testing.assert_close(still[:, j], nn.functional.normalize(objective.teacher(x[:, j]), dim=1))


def test_moco_with_split_batch_norm_against_a_pass_for_each_part() -> None:
    """The loss, its gradient and the running statistics, which follow the mean over the parts of both views."""
    objective, x = build("moco", 12, norm=True, batch_norm_splits=3, head=(3,), queue=30), views(12)
    disturb(objective.teacher)
    student = nn.Sequential(objective.encoder, objective.head)
    k_BJP = objective._keys(x, torch.Generator().manual_seed(7))
    parts = [(x[n::3, j], k_BJP[n::3, 1 - j]) for j in (0, 1) for n in range(3)]
    passes = [unsplit(student) for _ in parts]
    total = torch.zeros((), dtype=torch.float64)
    for network, (x_BCHW, k_BP) in zip(passes, parts, strict=True):
        q_BP = nn.functional.normalize(network(x_BCHW), dim=1)
        for q, k in zip(q_BP, k_BP, strict=True):
            scores = [dot(q, k) / 0.1, *(dot(q, old) / 0.1 for old in objective.queue)]
            total = total - softmax(scores)[0].log() / 24
    ours = the_loss(objective, x)
    torch.testing.assert_close(ours, total)
    ours.backward()
    total.backward()
    for name, parameter in student.named_parameters():
        torch.testing.assert_close(parameter.grad, sum(network.get_parameter(name).grad for network in passes))
    objective.after_step(torch.full((), 0.5))
    for name, buffer in student.named_buffers():
        of_parts = [network.get_buffer(name) for network in passes]
        expected = of_parts[0] if "num_batches" in name else sum(of_parts) / 6
        torch.testing.assert_close(buffer, expected)


def test_moco_of_a_network_without_batch_norm_has_one_pass_for_both_views() -> None:
    objective, x = build("moco", 12, head=(3,)), views(12)
    sizes: list[int] = []
    objective.encoder.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    the_loss(objective, x)
    assert sizes == [24]


def test_moco_in_one_part_has_a_pass_for_each_view() -> None:
    """So that each has statistics of its own; they follow both, one after the other."""
    objective, x = build("moco", 12, norm=True, batch_norm_splits=1, head=(3,)), views(12)
    expected = copy.deepcopy(objective.encoder)
    the_loss(objective, x)
    for j in (0, 1):
        expected(x[:, j])
    for name, buffer in expected.named_buffers():
        assert torch.equal(objective.encoder.get_buffer(name), buffer), name


def test_the_weights_of_moco_are_called_as_those_of_its_networks() -> None:
    split, whole = (build("moco", 12, norm=True, batch_norm_splits=splits) for splits in (3, 1))
    shapes = [{name: value.shape for name, value in moco.state_dict().items()} for moco in (split, whole)]
    assert shapes[0] == shapes[1]


# --- BYOL ------------------------------------------------------------------------------------------------

SMALL_HEADS = {"head": (8, 3), "predictor": (5,)}


def test_byol_against_loops() -> None:
    """Each view passes the student, and the teacher, as a batch of its own."""
    objective, x = build("byol", norm=True, **SMALL_HEADS), views()
    disturb(objective.teacher)
    total = torch.zeros((), dtype=torch.float64)
    for j in (0, 1):
        prediction = objective.predictor(objective.head(objective.encoder(x[:, j])))
        target = objective.teacher.network(x[:, 1 - j])
        for b in range(6):
            difference = unit(prediction[b]) - unit(target[b])
            total = total + dot(difference, difference)
    ours = the_loss(objective, x)
    torch.testing.assert_close(ours, total / 12)
    assert_same_gradient(objective, ours, total / 12)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 0.0), (0.5, 0.0), (-1.0, 4.0), (-3.0, 4.0)])
def test_byol_where_the_prediction_is_the_target_or_its_opposite(factor: float, expected: float) -> None:
    objective = build("byol", **SMALL_HEADS)
    objective.predictor = Times(factor)
    assert the_loss(objective, same_views()).item() == pytest.approx(expected, abs=1e-9)


def test_byol_where_the_prediction_is_orthogonal() -> None:
    objective = build("byol", **SMALL_HEADS)
    for module, constant in ((objective.predictor, [0.0, 5.0, 0.0]), (objective.teacher.network[1], [2.0, 0.0, 0.0])):
        with torch.no_grad():
            module[-1].weight.zero_()
            module[-1].bias.copy_(torch.tensor(constant))
    assert the_loss(objective, views()).item() == pytest.approx(2.0, abs=1e-9)


@pytest.mark.parametrize("name", ["byol", "simclr", "infonce", "vicreg"])
def test_what_compares_images_needs_two(name: str) -> None:
    with pytest.raises(ValueError, match="compares images with each other, and a step has only one"):
        build(name, images=1)


@pytest.mark.parametrize("name", ["byol", "dino"])
@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_teachers_slow_down(name: str, progress: float, momentum: float) -> None:
    """byol, dino: 0.9 rises to 1 by a cosine."""
    objective = build(name, momentum=0.9, norm=True)
    terms(objective, views())
    disturb(objective.encoder)
    old, new = (objective.encoder if i else objective.teacher.network[0] for i in (0, 1))
    expected = {
        key: momentum * value + (1 - momentum) * new.state_dict()[key] for key, value in old.state_dict().items()
    }
    objective.after_step(torch.full((), progress))
    for key, value in old.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, expected[key], atol=1e-6, rtol=1e-6)  # the momentum is float32


# --- DINO ------------------------------------------------------------------------------------------------

FEW = {"K": 4, "head": (5, 3)}


def slow_logits(network: nn.Module, prototypes: Tensor, x_CHW: Tensor) -> list[Tensor]:
    z = unit(network(x_CHW[None])[0])
    return [dot(z, unit(w)) for w in prototypes]


def test_dino_against_loops() -> None:
    objective, x = build("dino", temperature=0.2, teacher_temperature=0.07, **FEW), views()
    disturb(objective.teacher)
    centre = objective.centre.copy_(torch.tensor([0.3, -0.1, 0.0, 0.2])).tolist()
    student, teacher = nn.Sequential(objective.encoder, objective.head), objective.teacher.network
    total = uncertainty = torch.zeros((), dtype=torch.float64)
    for b in range(6):
        for j in (0, 1):
            t = slow_logits(teacher[:2], teacher[2].weight, x[b, 1 - j])
            s = slow_logits(student, objective.prototypes.weight, x[b, j])
            target = softmax([(score - c) / 0.07 for score, c in zip(t, centre, strict=True)])
            guess = softmax([score / 0.2 for score in s])
            total = total - sum(p * q.log() for p, q in zip(target, guess, strict=True))
            uncertainty = uncertainty - sum(p * p.log() for p in target)
    ours = terms(objective, x)
    torch.testing.assert_close(ours.loss["cross_entropy"], total / 12)
    torch.testing.assert_close(ours.monitor["teacher_entropy"], uncertainty / 12)
    assert_same_gradient(objective, ours.loss["cross_entropy"], total / 12)


def test_dino_of_identical_views_and_equal_temperatures_is_the_teachers_entropy() -> None:
    ours = terms(build("dino", temperature=0.1, teacher_temperature=0.1, **FEW), same_views())
    torch.testing.assert_close(ours.loss["cross_entropy"], ours.monitor["teacher_entropy"])


def test_dino_collapsed_onto_one_class_or_onto_none() -> None:
    """The same prototype four times: nothing is told apart. One far from the others: the teacher is certain."""
    objective = build("dino", **FEW)
    same = torch.ones(4, 3, dtype=torch.float64)
    with torch.no_grad():
        for prototypes in (objective.prototypes, objective.teacher.network[2]):
            prototypes.weight.copy_(same)
    ours = terms(objective, views())
    assert ours.monitor["teacher_entropy"].item() == pytest.approx(math.log(4))
    assert ours.loss["cross_entropy"].item() == pytest.approx(math.log(4))
    objective.centre.copy_(torch.tensor([-9.0, 0.0, 0.0, 0.0]))
    ours = terms(objective, views())
    assert ours.monitor["teacher_entropy"].item() == pytest.approx(0, abs=1e-9)
    assert ours.loss["cross_entropy"].item() == pytest.approx(math.log(4))


def test_dino_centre_undoes_a_collapse_onto_one_class() -> None:
    """A teacher that gives every view the same logits has them as its centre in the end, and is uniform again."""
    objective = build("dino", **FEW)
    with torch.no_grad():
        objective.teacher.network[1][-1].weight.zero_()
        objective.teacher.network[1][-1].bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    objective.params = objective.params.model_copy(update={"momentum": 1.0})
    entropies = []
    for _ in range(200):
        entropies.append(terms(objective, views()).monitor["teacher_entropy"].item())
        objective.after_step(torch.full((), 1.0))
    assert entropies[0] < 0.9 * math.log(4)
    assert entropies[-1] == pytest.approx(math.log(4), abs=1e-6)


def test_dino_centre_is_the_average_of_the_teachers_logits() -> None:
    objective = build("dino", centre_momentum=0.8, **FEW)
    expected = [0.0] * 4
    for step in range(3):
        x = views().roll(step, 0) + step
        teacher = objective.teacher.network
        rows = [slow_logits(teacher[:2], teacher[2].weight, x[b, j]) for b in range(6) for j in (0, 1)]
        expected = [0.8 * c + 0.2 * sum(float(row[k]) for row in rows) / 12 for k, c in enumerate(expected)]
        terms(objective, x)
        objective.after_step(torch.full((), 0.5))
        torch.testing.assert_close(objective.centre, torch.tensor(expected, dtype=torch.float64))


def test_dino_centre_is_that_of_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = build("dino", centre_momentum=0.0, **FEW)
    monkeypatch.setattr(importlib.import_module(type(objective).__module__), "gather", lambda t: torch.cat([t, 3 * t]))
    terms(objective, views())
    alone = objective.teacher(views().flatten(0, 1)).mean(0)
    objective.after_step(torch.full((), 0.0))
    torch.testing.assert_close(objective.centre, 2 * alone)


# --- all three -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_representation_is_the_students_and_the_projection_a_layer(name: str) -> None:
    objective, x = build(name, 16, norm=True).eval(), views()[:, 0]
    disturb(objective.teacher)
    torch.testing.assert_close(objective.posterior(x).mean, objective.encoder(x))
    assert objective.posterior(x).variance is None
    torch.testing.assert_close(objective.layers(x)["projection"], objective.head(objective.encoder(x)))


def test_dino_offers_the_teachers_representation_too() -> None:
    objective, x = build("dino", norm=True).eval(), views()[:, 0]
    disturb(objective.teacher)
    torch.testing.assert_close(objective.layers(x)["teacher"], objective.teacher.network[0](x))
    assert not torch.allclose(objective.layers(x)["teacher"], objective.posterior(x).mean)


@pytest.mark.parametrize("name", METHODS)
def test_a_run_with_batch_norm_resumes_bit_equal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teachers' running statistics, queues and centres come back as they were."""
    monkeypatch.undo()

    def trained(folder: str, *steps: int) -> dict[str, Tensor]:
        for upto in steps:
            trainer = new_trainer(name, tmp_path / folder)
            trainer.restore()
            while trainer.step < upto:
                trainer.train_step()
            trainer.save()
        return trainer.objective.state_dict()

    whole, resumed = trained("whole", 7), trained("broken", 3, 7)
    assert all(torch.equal(value, resumed[key]) for key, value in whole.items())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", METHODS)
def test_captured_steps_of_a_run_with_batch_norm_are_the_eager_ones(
    name: str, precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the host counts and keeps in a step is in its capture, and so are the copies of weights."""
    monkeypatch.undo()
    monkeypatch.setattr("simssl.training.step.computed_in", lambda asked, device: precision)
    graphs = Recorder()
    captured = new_trainer(name, tmp_path / "captured", graphs)
    while not graphs.replays:
        captured.train_step()
    eager = new_trainer(name, tmp_path / "eager")
    while eager.step < captured.step:
        eager.train_step()
    state = captured.objective.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in eager.objective.state_dict().items())


def new_trainer(name: str, folder: Path, graphs: Recorder | None = None) -> Trainer:
    """Of a run with batch norm, sixteen images a step."""
    folder.mkdir(exist_ok=True)
    plugin = REGISTRY.load("objective", name)
    experiment = replace(tiny_experiment(plugin), training=Training(epochs=2, batch_views=32, log_every=5))
    data = TinyDataset(Params()).load(Path(), lambda label, done, total: None)
    registry: Any = StubRegistry(objective=plugin, backbone=NormBackbone)
    built = build_run(experiment, registry, data, torch.device("cpu"))
    return Trainer(built, RunFolder(folder), graphs)
