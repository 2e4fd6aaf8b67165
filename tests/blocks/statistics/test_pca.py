"""Principal components in one pass, exactly and truncated, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from simssl.blocks.statistics import pca
from simssl.blocks.statistics.pca import principal_components


def rows(n: int = 300, columns: int = 12, seed: int = 0) -> Tensor:
    """Correlated columns with a mean far from 0, whose variances fall."""
    generator = torch.Generator().manual_seed(seed)
    scale = 0.8 ** torch.arange(columns)
    mixing = torch.linalg.qr(torch.randn(columns, columns, generator=generator)).Q
    return 5 + (torch.randn(n, columns, generator=generator) * scale) @ mixing


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("batch", [1, 70, 300])
def test_against_scikit_learn(exact: bool, batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept between batches holds all directions here, so that nothing is lost."""
    if not exact:
        monkeypatch.setattr(pca, "EXACT", 0)
    x = rows()
    reference = PCA(5, svd_solver="full").fit(x.double().numpy())
    fitted = principal_components(x.split(batch), 5)
    np.testing.assert_allclose(fitted.mean_P.numpy(), reference.mean_, rtol=1e-10)
    np.testing.assert_allclose(fitted.variances_K.numpy(), reference.explained_variance_, rtol=1e-8)
    signs = np.sign((fitted.directions_KP.numpy() * reference.components_).sum(1, keepdims=True))
    np.testing.assert_allclose(fitted.directions_KP.numpy(), signs * reference.components_, atol=1e-8)
    np.testing.assert_allclose(fitted.project(x).numpy(), signs.T * reference.transform(x.double().numpy()), atol=1e-7)


def test_truncation_loses_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """200 columns, of which ten directions beside the five asked for are kept."""
    monkeypatch.setattr(pca, "EXACT", 0)
    monkeypatch.setattr(pca, "SPARE", 10)
    x = rows(1000, 200)
    exact, components = PCA(5, svd_solver="full").fit(x.double().numpy()), principal_components(x.split(100), 5)
    cosines = np.abs((components.directions_KP.numpy() * exact.components_).sum(1))
    assert cosines.min() > 0.999
    np.testing.assert_allclose(components.variances_K.numpy(), exact.explained_variance_, rtol=1e-3)


def test_signs_are_fixed() -> None:
    directions = principal_components([rows()], 12).directions_KP
    assert bool((directions.gather(1, directions.abs().argmax(1, keepdim=True)) > 0).all())
    flipped = principal_components([-rows()], 12).directions_KP
    torch.testing.assert_close(directions, flipped)


def test_whitened_rows_are_uncorrelated_and_of_variance_one() -> None:
    white = principal_components([rows()], 12).whiten(rows())
    torch.testing.assert_close(white.T.cov(), torch.eye(12).double(), atol=1e-8, rtol=0)


def test_columns_that_do_not_vary_are_not_blown_up() -> None:
    x = torch.cat([rows(), torch.ones(300, 3)], dim=1)
    assert bool(principal_components([x], 15).whiten(x).isfinite().all())
    assert bool((principal_components([torch.ones(5, 3)], 3).whiten(torch.ones(5, 3)) == 0).all())


@pytest.mark.parametrize("batches", [[], [torch.ones(2, 5)], [torch.ones(5, 2)]])
def test_more_components_than_there_are(batches: list[Tensor]) -> None:
    with pytest.raises(ValueError, match="no 3 principal components"):
        principal_components(batches, 3)
