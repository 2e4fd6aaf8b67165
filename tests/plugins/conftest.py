"""What the tests of several objectives share; the builders are in tests/support."""

from __future__ import annotations

import pytest
from torch import Tensor


@pytest.fixture
def float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the objectives' `.float()` from rounding, so that references can be compared in float64."""
    monkeypatch.setattr(Tensor, "float", Tensor.double)
