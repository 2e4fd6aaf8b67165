"""Regressions against scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from simssl.blocks.probes.regression import r2, ridge, train_epochs


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
