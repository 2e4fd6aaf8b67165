"""Classifiers that are trained together: against autograd, against each alone, and against scikit-learn."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_cuda import CUDA, installed
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from simssl.blocks.probes import classifiers
from simssl.blocks.probes.classifiers import ParallelClassifiers, train_classifiers
from simssl.blocks.probes.graph import capture
from simssl.blocks.probes.regression import train_epochs
from simssl.blocks.probes.scores import accuracies
from simssl.testing.recording import Recorder


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def problems(N: int = 60) -> tuple[Tensor, Tensor, list[int]]:
    """Features, the labels of a problem of two classes and of one of three, some of which are missing."""
    x_ND = draw(N, 4)
    labels_MN = torch.stack([(draw(N) > 0).long(), torch.bucketize(draw(N, seed=3), torch.tensor([-0.5, 0.5]))])
    labels_MN[1, :7] = -1
    return x_ND, labels_MN, [2, 3]


def network(hidden: tuple[int, ...], classes: list[int], seed: int = 1) -> ParallelClassifiers:
    return ParallelClassifiers(4, hidden, classes, torch.Generator().manual_seed(seed))


def mean_cross_entropies(logits_MBC: Tensor, labels_MB: Tensor) -> Tensor:
    """Problem by problem, of the labelled rows alone."""
    pairs = [(logits[labels >= 0], labels[labels >= 0]) for logits, labels in zip(logits_MBC, labels_MB, strict=True)]
    return sum((F.cross_entropy(*pair) for pair in pairs if len(pair[1])), torch.zeros(()))


@pytest.mark.parametrize("hidden", [(), (5,), (5, 6)])
def test_the_gradient_is_autograds(hidden: tuple[int, ...]) -> None:
    x_ND, labels_MN, classes = problems()
    net = network(hidden, classes)
    mean_cross_entropies(net(x_ND), labels_MN).backward()
    known_M1N = (labels_MN >= 0)[:, None]
    weights_M1N = known_M1N / known_M1N.sum(2, keepdim=True)
    minus_labels_MCN = (torch.arange(3)[:, None] == labels_MN[:, None]) * -weights_M1N
    x_MNE = F.pad(x_ND, (0, 1), value=1).expand(2, -1, -1)
    assert net.flat.grad is not None
    written = torch.full_like(net.flat.grad, 9)
    gradient = classifiers._Gradient(net, written, len(x_ND))
    for _ in range(2):
        gradient(x_MNE.mT, x_MNE, weights_M1N, minus_labels_MCN)
        torch.testing.assert_close(written, net.flat.grad)


def test_it_starts_as_linear_layers_do() -> None:
    """Weights and biases are uniform up to 1 over the root of the inputs; the logits are of the layers in a row."""
    x_ND, _, classes = problems()
    net = network((5,), classes)
    first, last = net.layers
    assert first.shape == (2, 5, 5)
    assert last.shape == (2, 3, 6)
    assert 0.4 < float(first.detach().abs().max()) <= 0.5
    for m, (a_OI, b_CI) in enumerate(zip(first, last, strict=True)):
        hidden_NO = F.linear(x_ND, a_OI[:, :-1], a_OI[:, -1]).relu()
        torch.testing.assert_close(net(x_ND)[m], F.linear(hidden_NO, b_CI[:, :-1], b_CI[:, -1]))


def test_batches_without_any_label_change_nothing() -> None:
    x_ND, labels_MN, classes = problems()
    labels_MN[1] = -1
    net, other = network((5,), classes), network((5,), classes)
    list(train_classifiers(net, x_ND, labels_MN, epochs=1, batch=16, lr=1e-2, generator=torch.Generator()))
    for layer, before in zip(net.layers, other.layers, strict=True):
        assert torch.equal(layer[1], before[1])
        assert not torch.equal(layer[0], before[0])


def test_epochs_that_are_replayed_are_those_that_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on CUDA: whatever the host does in an epoch is done once, and only what the device does is repeated."""
    x_ND, labels_MN, classes = problems()
    settings = {"epochs": 5, "batch": 16, "lr": 1e-2}
    done, replayed = network((5,), classes), network((5,), classes)
    list(train_classifiers(done, x_ND, labels_MN, generator=torch.Generator().manual_seed(5), **settings))
    recorder = Recorder()

    def record(call: Callable[[], None], device: torch.device) -> Callable[[], None]:
        replay = recorder.capture(call)  # which does it once, as the capture of a graph does not
        calls = itertools.chain([lambda: None], itertools.repeat(replay))
        return lambda: next(calls)()

    monkeypatch.setattr(classifiers, "capture", record)
    list(train_classifiers(replayed, x_ND, labels_MN, generator=torch.Generator().manual_seed(5), **settings))
    assert recorder.replays == 3
    for one, two in zip(done.parameters(), replayed.parameters(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("batch", [16, 60, 100])
@pytest.mark.parametrize("hidden", [(), (5,), (5, 6)])
def test_training_is_train_epochs_on_the_cross_entropies(hidden: tuple[int, ...], batch: int) -> None:
    """Of 60 images: in steps of which the last is smaller, and in one."""
    x_ND, labels_MN, classes = problems()
    nets = network(hidden, classes), network(hidden, classes)
    loss = lambda logits, index: mean_cross_entropies(logits, labels_MN[:, index])
    settings = [{"epochs": 4, "batch": batch, "lr": 1e-2, "generator": torch.Generator().manual_seed(5)} for _ in nets]
    assert list(train_classifiers(nets[0], x_ND, labels_MN, **settings[0])) == [1, 2, 3, 4]
    list(train_epochs(nets[1], x_ND, loss, **settings[1]))
    torch.testing.assert_close(nets[0](x_ND), nets[1](x_ND))


def test_parallel_problems_train_as_if_alone() -> None:
    """Two problems in one network end where each ends in a network of its own."""
    x_ND, labels_MN, _ = problems()

    def train(net: ParallelClassifiers, labels: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        list(train_classifiers(net, x_ND, labels, epochs=3, batch=16, lr=1e-2, generator=generator))
        return net(x_ND).detach()

    both, alone = network((4,), [3, 3]), [network((4,), [3]) for _ in range(2)]
    for m, net in enumerate(alone):
        for one, two in zip(net.layers, both.layers, strict=True):
            one.data.copy_(two.data[m : m + 1])
    together = train(both, labels_MN)
    for m, net in enumerate(alone):
        torch.testing.assert_close(train(net, labels_MN[m : m + 1])[0], together[m])


def test_each_problem_can_have_a_learning_rate_of_its_own() -> None:
    """Of four problems, the second and the third have the same rate; each ends where it ends alone."""
    x_ND, labels_MN, _ = problems()
    labels_MN = labels_MN.repeat(2, 1)
    rates = [1e-3, 1e-2, 1e-2, 3e-2]

    def train(net: ParallelClassifiers, labels: Tensor, lr: float | list[float]) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        list(train_classifiers(net, x_ND, labels, epochs=3, batch=16, lr=lr, generator=generator))
        return net(x_ND).detach()

    together_net = network((4,), 4 * [3])
    alone = [network((4,), [3]) for _ in rates]
    for m, net in enumerate(alone):
        for one, two in zip(net.layers, together_net.layers, strict=True):
            one.data.copy_(two.data[m : m + 1])
    together = train(together_net, labels_MN, rates)
    for m, net in enumerate(alone):
        torch.testing.assert_close(train(net, labels_MN[m : m + 1], rates[m])[0], together[m])


def test_a_problem_never_names_a_class_that_it_lacks() -> None:
    x_ND, _, classes = problems()
    logits_MNC = network((5,), classes)(x_ND)
    assert bool((logits_MNC[0, :, 2] == -torch.inf).all())
    assert bool(logits_MNC[0, :, :2].isfinite().all() and logits_MNC[1].isfinite().all())


def test_the_optimum_of_a_linear_classifier_is_scikit_learns() -> None:
    x_ND = draw(300, 4)
    labels_N = ((x_ND @ draw(4, 3, seed=1)) + draw(300, 3, seed=2)).argmax(1)
    net = network((), [3])
    whole = {"epochs": 1500, "batch": 300, "generator": torch.Generator().manual_seed(0)}
    list(train_classifiers(net, x_ND, labels_N[None], lr=0.02, **whole))
    reference = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(x_ND.double().numpy(), labels_N.numpy())
    expected_NC = reference.predict_proba(x_ND.double().numpy())
    np.testing.assert_allclose(net(x_ND)[0].detach().softmax(1).numpy(), expected_NC, atol=1e-3)


def test_accuracy_does_not_count_missing_labels() -> None:
    logits = torch.tensor([[[2.0, 1.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]]])
    assert accuracies(logits, torch.tensor([[0, 0, 1, -1]])).item() == 2 / 3


def test_a_probe_that_cannot_be_captured_is_trained_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Memory runs out in the capture, or an operation in it waits; the log says so."""
    caplog.set_level("INFO", "simssl")
    x_ND, labels_MN, classes = problems()
    trained = {}
    cuda = installed(monkeypatch)
    on_cuda = partial(capture, device=CUDA)
    for error in (
        None,
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        RuntimeError("CUDA error: operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA"),
    ):
        if error is not None:
            cuda.fails = cuda.invalid = error
            monkeypatch.setattr(classifiers, "capture", lambda call, device: on_cuda(call))
        net = network((5,), classes)
        generator = torch.Generator().manual_seed(2)
        for _ in train_classifiers(net, x_ND, labels_MN, epochs=4, batch=8, lr=0.01, generator=generator):
            pass
        trained[str(error)] = net.flat.detach()
    eager, *others = trained.values()
    assert all(torch.equal(eager, other) for other in others)
    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "a probe is trained without a CUDA graph: out of memory: 20.00 MiB were asked for",
        "a probe is trained without a CUDA graph: RuntimeError: CUDA error: operation not permitted when stream is "
        "capturing",
    ]
    assert cuda.underway == []


@pytest.mark.cuda
def test_on_cuda_a_probe_that_makes_the_host_wait_is_trained_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "simssl")
    x_ND, labels_MN, classes = problems()
    device = torch.device("cuda", 0)
    plain = classifiers._Epoch.__call__
    trained = []

    def wait(epoch: classifiers._Epoch) -> None:
        plain(epoch)
        epoch._step_S.sum().item()

    for waits in (False, True):
        if waits:
            monkeypatch.setattr(classifiers._Epoch, "__call__", wait)
        net = ParallelClassifiers(4, (5,), classes, torch.Generator(device).manual_seed(1)).to(device)
        generator = torch.Generator(device).manual_seed(2)
        on_device = (x_ND.to(device), labels_MN.to(device))
        for _ in train_classifiers(net, *on_device, epochs=4, batch=8, lr=0.01, generator=generator):
            pass
        trained.append(net.flat.detach())
    torch.testing.assert_close(*trained)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("a probe is trained without a CUDA graph: ")
    assert torch.randn(4, device=device).isfinite().all()


@pytest.mark.cuda
def test_on_cuda_a_captured_probe_is_the_eager_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x_ND, labels_MN, classes = problems()
    device = torch.device("cuda", 0)
    trained = []
    for captures in (True, False):
        if not captures:
            monkeypatch.setattr(classifiers, "capture", lambda call, device: call)
        net = ParallelClassifiers(4, (5,), classes, torch.Generator(device).manual_seed(1))
        generator = torch.Generator(device).manual_seed(2)
        on_device = (x_ND.to(device), labels_MN.to(device))
        for _ in train_classifiers(net.to(device), *on_device, epochs=4, batch=8, lr=0.01, generator=generator):
            pass
        trained.append(net.flat.detach())
    torch.testing.assert_close(*trained)
