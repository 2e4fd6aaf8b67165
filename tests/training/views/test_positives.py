"""Positives from the data: the views of an image come from images that agree with it in what the file names."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import simssl.testing.checks.processes as processes
import simssl.testing.checks.training as training
from simssl.api import Objective, Split, Target
from simssl.blocks.groups import group_numbers
from simssl.experiment.settings import Crop, Positives, ViewSettings
from simssl.experiment.yaml12 import dump, read
from simssl.plugin.registry import Registry
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import TinyObjective, tiny_data, tiny_run
from simssl.training.machine.pool import Streamed, put
from simssl.training.step import Step
from simssl.training.trainer import Trainer
from simssl.training.views.positives import Groups, groups_of

REGISTRY = Registry(builtins_only=True)
CPU = torch.device("cpu")
CORNER = Positives(share=("corner",))

labels = st.lists(st.integers(-1, 3), min_size=1, max_size=30)


@given(labels=st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, 2)), min_size=1, max_size=30), K=st.integers(1, 6))
def test_images_of_a_step_agree_in_all_that_is_shared_and_differ(labels: list[tuple[int, int]], K: int) -> None:
    """Each group against the plain definition: two images are in one if all their labels are known and equal."""
    columns = torch.tensor(labels).T
    groups = Groups(group_numbers(list(columns)), CPU)
    anchor_N = torch.arange(len(labels))
    image_NK = groups.draw(anchor_N, K, torch.Generator().manual_seed(0))
    assert image_NK[:, 0].tolist() == anchor_N.tolist()
    for anchor, images in enumerate(image_NK.tolist()):
        known = min(labels[anchor]) >= 0
        group = [i for i in anchor_N.tolist() if labels[i] == labels[anchor]] if known else [anchor]
        assert set(images) <= set(group)
        if len(group) >= K:
            assert len(set(images)) == K


@pytest.mark.parametrize(("members", "K"), [(5, 2), (5, 5), (4, 3), (3, 5)])
def test_every_place_is_drawn_uniformly(members: int, K: int) -> None:
    """Among the other members where the group is large enough, and else among all of them."""
    groups = Groups(torch.zeros(members, dtype=torch.long), CPU)
    anchor_M = torch.full((40_000,), 1)
    image_MK = groups.draw(anchor_M, K, torch.Generator().manual_seed(1))
    possible = [member for member in range(members) if member != 1 or members < K]
    for place in range(1, K):
        share = image_MK[:, place].bincount(minlength=members) / len(anchor_M)
        for member in range(members):
            expected = 1 / len(possible) if member in possible else 0.0
            assert share[member].item() == pytest.approx(expected, abs=0.02)


def test_a_draw_follows_the_generator() -> None:
    groups = Groups(torch.arange(40) % 4, CPU)
    draws = [groups.draw(torch.arange(40), 3, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_one_group_of_ten_thousand() -> None:
    groups = Groups(torch.zeros(10_000, dtype=torch.long), CPU)
    image_NK = groups.draw(torch.arange(10_000), 4, torch.Generator().manual_seed(0)).sort(1).values
    assert (image_NK[:, 1:] > image_NK[:, :-1]).all(), "four different images"
    assert len(image_NK.unique()) == 10_000


def test_ten_thousand_groups_of_two_or_of_one() -> None:
    number_N = torch.cat([torch.arange(10_000), torch.arange(5_000)])
    groups = Groups(number_N, CPU)
    image_NK = groups.draw(torch.arange(15_000), 2, torch.Generator().manual_seed(0))
    assert torch.equal(number_N[image_NK[:, 0]], number_N[image_NK[:, 1]])
    assert (image_NK[:5_000, 1] == torch.arange(10_000, 15_000)).all()
    assert (image_NK[5_000:10_000, 1] == torch.arange(5_000, 10_000)).all()
    sentence = groups.said(["group"], 60)
    assert sentence.startswith("positives share group: 10,000 groups of 1 to 2 images; 5,000 are alone in theirs")


def test_what_a_batch_has_of_one_group_is_told() -> None:
    """(B - 1) times the probability that two different images are of one group."""
    number_N = torch.tensor([0] * 30 + [1] * 10)
    same = 30 * 29 + 10 * 9
    expected = 7 * same / (40 * 39)
    assert f"a batch of 8 an image has, on average, {expected:.1f} others" in Groups(number_N, CPU).said(["class"], 8)


def test_groups_of_the_data_set_and_targets_together() -> None:
    images_N = torch.zeros(4, 1, 8, 8, dtype=torch.uint8)
    target = Target(torch.tensor([0, 0, 1, 0]), ("a", "b"))
    split = Split(images_N, {"class": target}, group=torch.tensor([7, 7, 7, -1]))
    assert groups_of(split, ["group"]).tolist() == [0, 0, 0, 1]
    assert groups_of(split, ["class", "group"]).tolist() == [0, 0, 1, 2]


# --- a run -----------------------------------------------------------------------------------------------


class Seen(TinyObjective):
    """It keeps the images and the indices that it is given."""

    views = ("random", "plain", "random")
    uses_groups = True
    seen: list[tuple[Tensor, Tensor, Tensor]]

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator, group_B: Tensor) -> object:  # type: ignore[override]
        vars(self).setdefault("seen", []).append((x_BJCHW, index_B.clone(), group_B))
        return super().forward(x_BJCHW, index_B, generator)


def test_a_step_shows_views_of_the_group_with_the_index_of_the_first(tmp_path: Path) -> None:
    """The plain view, of another image than the first, shows its corner."""
    data = tiny_data()
    built = tiny_run(Seen, data=data, positives=CORNER, views=ViewSettings(crop=Crop(scale=(0.4, 1.0))))
    trainer = Trainer(built, RunFolder(tmp_path))
    for _ in range(20):
        trainer.train_step()
    corner_N = data.train.targets["corner"].values
    plain = built.views.plain(data.train.images)
    others = 0
    for x_BJCHW, index_B, group_B in built.objective.seen:
        for x_JCHW, index, group in zip(x_BJCHW, index_B.tolist(), group_B.tolist(), strict=True):
            (matches,) = (plain == x_JCHW[1]).flatten(1).all(1).nonzero(as_tuple=True)
            assert group == corner_N[index] == corner_N[matches[0]]
            others += index not in matches.tolist()
    assert others > 90
    shown = torch.cat([index_B for _, index_B, _ in built.objective.seen])
    assert sorted(shown[:96].tolist()) == list(range(96))


OBJECTIVES = ("simclr", "supcon", "simvae", "cr_vae", "instance_discrimination")


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the checks of the conformance suite train on positives from the data."""
    for module in (training, processes):
        monkeypatch.setattr(module, "tiny_run", partial(tiny_run, positives=CORNER))


@pytest.mark.usefixtures("sharing")
@pytest.mark.parametrize("check", [training.resumed_run_is_bit_equal, training.replayed_steps_are_the_eager_ones])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_resumes_and_is_captured(name: str, check: Callable[..., None], tmp_path: Path) -> None:
    check(REGISTRY.load("objective", name), tmp_path)


@pytest.mark.usefixtures("sharing")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_two_processes_train_as_one(name: str, tmp_path: Path) -> None:
    processes.two_processes_train_as_one(REGISTRY.load("objective", name), tmp_path)


@pytest.mark.cuda
@pytest.mark.usefixtures("sharing")
@pytest.mark.parametrize("name", OBJECTIVES)
def test_it_is_captured_on_cuda(name: str, tmp_path: Path) -> None:
    training.step_is_captured_on_cuda(REGISTRY.load("objective", name), tmp_path)


def weights_after(objective: type[Objective], folder: Path, **changes: object) -> dict[str, Tensor]:
    built = tiny_run(objective, **changes)
    trainer = Trainer(built, RunFolder(folder))
    for _ in range(20):
        trainer.train_step()
    return built.objective.state_dict()


def test_streamed_images_are_the_resident_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class AtOnce:
        def copy(self, images_NCHW: Tensor, index_M: Tensor, ring_RCHW: Tensor, row: int, ahead: bool) -> None:
            put(ring_RCHW, row, images_NCHW[index_M])

        def arrive(self) -> None: ...

        def launched(self) -> None: ...

    def streamed(images_NCHW: Tensor, device: torch.device, most: int) -> Streamed:
        ring_RCHW = torch.zeros(2 * most, *images_NCHW.shape[1:], dtype=torch.uint8)
        return Streamed(images_NCHW, ring_RCHW, AtOnce())

    simclr = REGISTRY.load("objective", "simclr")
    resident = weights_after(simclr, tmp_path / "resident", positives=CORNER)
    monkeypatch.setattr("simssl.training.trainer.pool_of", streamed)
    other = weights_after(simclr, tmp_path / "streamed", positives=CORNER)
    assert all(torch.equal(value, other[name]) for name, value in resident.items())


def test_without_the_section_a_step_draws_no_others(tmp_path: Path) -> None:
    built = tiny_run(REGISTRY.load("objective", "supcon"))
    step = Step(built, Trainer(built, RunFolder(tmp_path)).pool)
    assert step.images_each == 1
    assert built.groups is None


# --- the file --------------------------------------------------------------------------------------------


def test_a_run_says_its_groups_and_records_the_roles(
    simssl: Callable[..., Result], small: Callable[..., Path], tmp_path: Path
) -> None:
    file = small(positives={"share": ["class"]}, objective={"name": "supcon"})
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert "positives share class: 10 groups of 139 to 146 images; in a batch of 30" in result.stderr
    (run,) = (path.parent for path in tmp_path.rglob("metrics.json"))
    roles = json.loads((run / "metrics.json").read_text())["roles"]
    assert roles["class"] == "content"
    assert read(run / "experiment.yaml").tree["positives"] == {"share": ["class"]}


def test_a_method_of_one_view_says_that_positives_change_nothing(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    result = simssl("run", small(positives={"share": ["class"]}, objective={"name": "vae"}))
    assert "vae takes one view of an image: 'positives' changes nothing of its training" in result.stderr


def test_what_is_not_shared_is_style_whatever_role_the_data_set_gave_it(
    simssl: Callable[..., Result], small: Callable[..., Path], tmp_path: Path, package: Callable[..., Path]
) -> None:
    package("pairs-dist", "pairs_dataset", PAIRS, dataset="pairs")
    file = small(dataset={"name": "pairs"}, positives={"share": ["group"]})
    result = simssl("run", file)
    assert result.exit_code == 0, result.stderr
    assert "positives share group: 30 groups of 1 to 2 images; 10 are alone in theirs" in result.stderr
    (run,) = (path.parent for path in tmp_path.rglob("metrics.json"))
    assert json.loads((run / "metrics.json").read_text())["roles"]["class"] == "style"


PAIRS = """
    import torch

    import simssl
    from simssl.api import Data, Dataset, Split, Target


    class Pairs(Dataset):
        '''Fifty images, each of the first twenty beside another of its group, ten of no group.'''

        def load(self, root, progress):
            images = torch.randint(0, 255, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
            group = torch.cat([torch.arange(20), torch.arange(20), torch.full((10,), -1)])
            classes = Target(torch.arange(50) % 2, ("even", "odd"), "content")
            split = Split(images, {"class": classes, "height": Target(torch.rand(50))}, group=group)
            return Data.of(split, split)


    @simssl.hookimpl
    def simssl_dataset():
        return Pairs
"""


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (["shape"], "positives.share: the data set has no target 'shape'; images can share group, class"),
        (["height"], "positives.share: target 'height' has no classes to agree in; images can share group, class"),
    ],
)
def test_what_cannot_be_shared_is_told(
    simssl: Callable[..., Result],
    small: Callable[..., Path],
    package: Callable[..., Path],
    share: list[str],
    message: str,
) -> None:
    package("pairs-dist", "pairs_dataset", PAIRS, dataset="pairs")
    result = simssl("run", small(dataset={"name": "pairs"}, positives={"share": share}))
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_data_set_without_groups_is_told(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    result = simssl("run", small(positives={"share": ["group"]}))
    assert result.exit_code == 2
    assert "positives.share: the data set has no groups of its own; images can share class" in result.stderr


@pytest.mark.parametrize(
    ("positives", "message"),
    [
        ({"share": []}, "'positives.share' must be a list with at least 1"),
        ({"share": ["class", "class"]}, "'class' stands in it twice"),
        ({"shared": ["class"]}, "unknown key 'shared'; did you mean 'share'?"),
        ("class", "'positives' must be a mapping, not 'class'"),
    ],
)
def test_mistakes_in_the_section_are_told_with_their_place(
    simssl: Callable[..., Result], small: Callable[..., Path], positives: object, message: str
) -> None:
    result = simssl("check", small(positives=positives))
    assert result.exit_code == 2
    assert "small.yaml:" in result.stderr
    assert message in result.stderr


def test_the_hash_has_the_section_where_it_is_written(small: Callable[..., Path]) -> None:
    from simssl.experiment.config import load_experiments

    plain, sharing = (
        load_experiments(file, REGISTRY)[0]
        for file in (small("plain.yaml"), small("sharing.yaml", positives={"share": ["class"]}))
    )
    assert plain.digest != sharing.digest
    assert "positives" not in plain.resolved
    assert "positives" not in dump(plain.resolved)
