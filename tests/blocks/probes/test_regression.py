"""Regressions against scikit-learn's, and MLPs against steps that are taken by hand."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from recorded import recorded
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from torch import nn

from simssl.blocks.probes import regression
from simssl.blocks.probes.regression import r2, ridge, train_epochs
from simssl.testing.recording import Recorder


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_ridge_is_scikit_learns_on_standardised_columns() -> None:
    x, new, penalty = draw(200, 5) * torch.arange(1.0, 6), draw(50, 5, seed=1), 0.1
    y = torch.stack([x[:, 0] - 2 * x[:, 3], x[:, 1].square()], dim=1) + draw(200, 2, seed=2)
    mean, scale = x.double().mean(0), x.double().std(0, correction=0)
    reference = Ridge(alpha=penalty * len(x)).fit(((x - mean) / scale).numpy(), y.double().numpy())
    expected = reference.predict(((new - mean) / scale).numpy())
    np.testing.assert_allclose(ridge(x, y, (penalty, 1.0))(new)[0].numpy(), expected, atol=1e-8)


def test_a_constant_column_does_not_disturb_ridge() -> None:
    x = torch.cat([draw(100, 2), torch.ones(100, 1)], dim=1)
    predicted = ridge(x, x[:, :1], (1e-6,))(x)[0]
    torch.testing.assert_close(predicted, x[:, :1].double(), atol=1e-4, rtol=0)


def test_r2_is_scikit_learns_and_unclipped() -> None:
    y, predicted = draw(100, 2), draw(100, 2, seed=1)
    expected = r2_score(y.numpy(), predicted.numpy(), multioutput="raw_values")
    np.testing.assert_allclose(r2(predicted, y).numpy(), expected, rtol=1e-5)
    assert bool((r2(predicted, y) < 0).all())
    torch.testing.assert_close(r2(y, y), torch.ones(2, dtype=torch.float64))


def test_a_last_row_alone_joins_the_batch_before_it() -> None:
    """Batch norm takes no single row; every row is in one batch an epoch."""
    network, seen = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1)), []

    def loss(y: torch.Tensor, index_B: torch.Tensor) -> torch.Tensor:
        seen.append(index_B)
        return y.square().mean()

    generator = torch.Generator().manual_seed(0)
    assert list(train_epochs(network, draw(9, 2), loss, epochs=1, batch=4, lr=1e-3, generator=generator)) == [1]
    assert [len(index_B) for index_B in seen] == [4, 5]
    assert sorted(torch.cat(seen).tolist()) == list(range(9))


def test_r2_of_a_target_of_two_columns_sums_both() -> None:
    y, predicted = draw(100, 3) * torch.tensor([1.0, 10, 1]), draw(100, 3, seed=1)
    target_P = torch.tensor([0, 1, 1])
    sse = [sum((predicted[n, p] - y[n, p]).item() ** 2 for n in range(100)) for p in range(3)]
    sst = [sum((y[n, p] - y[:, p].mean()).item() ** 2 for n in range(100)) for p in range(3)]
    expected = [1 - sse[0] / sst[0], 1 - (sse[1] + sse[2]) / (sst[1] + sst[2])]
    np.testing.assert_allclose(r2(predicted, y, target_P).numpy(), expected, rtol=1e-5)
    np.testing.assert_allclose(r2(torch.stack([predicted, y]), y, target_P).numpy(), [expected, [1, 1]], rtol=1e-5)


def normed_network(seed: int = 0) -> nn.Module:
    """It has buffers, and a state that the order of the batches tells in."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1))
    for parameter in network.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    return network


def train_by_hand(network: nn.Module, x: torch.Tensor, y: torch.Tensor, generator: torch.Generator) -> None:
    """Three epochs in batches of four, one operation after the other."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, fused=True)
    for _ in range(3):
        batches = list(torch.randperm(len(x), generator=generator, device=x.device).split(4))
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [torch.cat(batches[-2:])]
        for index in batches:
            optimizer.zero_grad(set_to_none=True)
            (network(x[index]) - y[index]).square().mean().backward()
            optimizer.step()


def assert_trained_as_by_hand(rows: int, device: str = "cpu") -> None:
    x, y = draw(rows, 2).to(device), draw(rows, 1, seed=1).to(device)
    networks = [normed_network().to(device) for _ in range(2)]
    generators = [torch.Generator(device).manual_seed(2) for _ in range(2)]

    def loss(predicted: torch.Tensor, index_B: torch.Tensor) -> torch.Tensor:
        return (predicted - y[index_B]).square().mean()

    epochs = train_epochs(networks[0], x, loss, epochs=3, batch=4, lr=0.01, generator=generators[0])
    with torch.no_grad():
        assert list(epochs) == [1, 2, 3]
    train_by_hand(networks[1], x, y, generators[1])
    for name, value in networks[0].state_dict().items():
        assert torch.equal(value, networks[1].state_dict()[name]), name
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


ROWS = [3, 4, 8, 9, 11, 13, 14]
"""Less than a batch, whole batches, and a last one of one, two or three rows."""


@pytest.mark.parametrize("rows", ROWS)
def test_training_is_that_by_hand_bit_for_bit(rows: int) -> None:
    assert_trained_as_by_hand(rows)


@pytest.mark.parametrize("rows", ROWS)
def test_captured_steps_are_the_eager_ones_bit_for_bit(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded at the second full batch, and replayed for all that follow; the host waits for nothing in them."""
    graphs = Recorder()
    monkeypatch.setattr(regression, "capture", recorded(graphs))
    assert_trained_as_by_hand(rows)
    full = 3 * (rows // 4 - (rows % 4 == 1))
    assert graphs.replays == max(0, full - 2)


def assert_lets_go(device: str = "cpu", loss_waits: bool = False) -> None:
    """Network and features are freed with the last epoch, and not when garbage is collected."""
    x, network = draw(12, 2).to(device), normed_network().to(device)
    held = [weakref.ref(x), weakref.ref(network), weakref.ref(next(network.parameters()))]

    def loss(predicted: torch.Tensor, index_B: torch.Tensor) -> torch.Tensor:
        return predicted.square().mean() * (len(index_B.cpu()) if loss_waits else 1)

    generator = torch.Generator(device).manual_seed(0)
    gc.collect()
    gc.disable()
    try:
        list(train_epochs(network, x, loss, epochs=3, batch=4, lr=0.01, generator=generator))
        del network, x
        assert [ref() is None for ref in held] == [True, True, True]
    finally:
        gc.enable()


def test_what_was_trained_is_held_by_nothing() -> None:
    assert_lets_go()


@pytest.mark.cuda
@pytest.mark.parametrize("loss_waits", [False, True], ids=["captured", "not captured"])
def test_on_cuda_what_was_trained_is_held_by_nothing(loss_waits: bool) -> None:
    assert_lets_go("cuda", loss_waits)


@pytest.mark.cuda
@pytest.mark.parametrize("rows", ROWS)
def test_on_cuda_captured_steps_are_the_eager_ones(rows: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "simssl")
    assert_trained_as_by_hand(rows, "cuda")
    assert not caplog.records


@pytest.mark.cuda
def test_on_cuda_a_loss_that_makes_the_host_wait_is_minimised_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "simssl")
    generator = torch.Generator("cuda").manual_seed(0)
    network, x = normed_network().to("cuda"), draw(12, 2).cuda()

    def loss(predicted: torch.Tensor, index_B: torch.Tensor) -> torch.Tensor:
        return predicted.square().mean() * len(index_B.cpu())

    assert list(train_epochs(network, x, loss, epochs=2, batch=4, lr=0.01, generator=generator)) == [1, 2]
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("a probe is trained without a CUDA graph: ")
    assert all(bool(value.isfinite().all()) for value in network.state_dict().values())
