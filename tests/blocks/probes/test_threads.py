"""Small operations have one thread, and what comes after them has all again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from simssl.blocks.probes.threads import SMALL, threads_for


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("multiplications", "threads"), [(1, 1), (SMALL - 1, 1), (SMALL, 2)])
def test_small_operations_have_one_thread(multiplications: int, threads: int) -> None:
    with threads_for(multiplications):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_threads_come_back_after_a_failure() -> None:
    with pytest.raises(ArithmeticError), threads_for(1):
        raise ArithmeticError
    assert torch.get_num_threads() == 2
