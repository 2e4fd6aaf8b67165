"""The images of a subject: wherever their index lies, and without a wait where index and images lie on the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest
import torch
from torch import Tensor

from simssl.evaluation import subject as module
from simssl.evaluation.subject import FrozenSubject
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import tiny_run


def test_an_index_or_a_slice_gives_the_un_augmented_images(tmp_path: Path) -> None:
    built = tiny_run()
    subject = FrozenSubject(built, RunFolder(tmp_path), "decoder")
    expected = built.views.plain(built.data.train.images)
    assert torch.equal(subject.images("train", torch.tensor([5, 0, 5])), expected[[5, 0, 5]])
    assert torch.equal(subject.images("train", slice(2, 7)), expected[2:7])


@pytest.mark.parametrize("fails", [False, True])
def test_images_on_the_device_are_let_go_when_the_evaluator_has_run(
    fails: bool,
    simssl: Callable[..., click.testing.Result],
    small: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tracker may keep the subject for longer. An index on CUDA asks for the images as is done here."""
    subjects = []
    features = FrozenSubject.features

    def with_images(subject: FrozenSubject, split: str, layer: str = "representation") -> Tensor:
        subjects.append(subject)
        assert subject._near(split) is subject._near(split)
        if fails:
            raise ArithmeticError("too much")
        return features(subject, split, layer)

    monkeypatch.setattr(module, "fits", lambda images_NCHW, device: True)
    monkeypatch.setattr(FrozenSubject, "features", with_images)
    result = simssl("run", small(evaluators=[{"name": "knn"}], trackers=[]))
    assert result.exit_code == int(fails), result.stderr
    assert subjects
    assert [subject._nearest for subject in subjects] == [{}] * len(subjects)


@pytest.mark.cuda
@pytest.mark.parametrize("fits", [True, False])
def test_on_cuda_the_host_does_not_wait_if_the_images_fit(
    fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "fits", lambda images_NCHW, device: fits)
    subject = FrozenSubject(tiny_run(device="cuda"), RunFolder(tmp_path), "decoder")
    index_B = torch.tensor([5, 0, 5], device="cuda")
    expected = subject.images("train", index_B.cpu())
    assert torch.equal(subject.images("train", index_B), expected)
    torch.cuda.set_sync_debug_mode("error" if fits else "default")
    try:
        again = subject.images("train", index_B)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(again, expected)
    assert again.is_cuda
