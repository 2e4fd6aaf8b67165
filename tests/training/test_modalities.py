"""An objective that declares modalities is given its images' rows; every other one is trained as if there were none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from torch import Tensor

from simssl.api import Context, Data, EncoderObjective, Modality, Split, Terms
from simssl.blocks.distributed import Seat, gather, together
from simssl.errors import ContractError, UserError
from simssl.experiment.model import Choice
from simssl.plugin.registry import Registry
from simssl.store import checkpoint
from simssl.store.folder import RunFolder
from simssl.testing.fixtures import StubRegistry, tiny_data, tiny_experiment, tiny_run
from simssl.testing.members import on_members
from simssl.testing.modalities import TINY_MODALITIES
from simssl.testing.steps import train_steps
from simssl.training.build import build_run
from simssl.training.trainer import Trainer

REGISTRY = Registry(builtins_only=True)
DIGITS = Path(__file__).parents[1] / "support" / "captioned_digits.py"
CAPTION = {"caption": {"backbone": {"name": "text_transformer", "width": 16, "layers": 1}}}


class Remembers(EncoderObjective):
    """Keeps what it was given in the last step."""

    views = ("random",)
    modalities = ("caption", "attributes")

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.heads = [context.modalities[name].encoder(2) for name in self.modalities]
        self.given: dict[str, Tensor] = {}
        self.index_B = torch.zeros(0)

    def forward(
        self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator, modalities_B: dict[str, Tensor]
    ) -> Terms:
        self.given = {name: gather(values_B) for name, values_B in modalities_B.items()}
        self.index_B = gather(index_B)
        return Terms({"square": self.encoder(x_BJCHW[:, 0]).square().mean()})


def test_the_rows_are_those_of_the_images(tmp_path: Path) -> None:
    built = tiny_run(Remembers)
    train_steps(built, tmp_path, 3)
    objective = built.objective
    for name, modality in built.data.train.modalities.items():
        assert torch.equal(objective.given[name], modality.values[objective.index_B])


def test_each_of_two_processes_has_its_own_rows(tmp_path: Path) -> None:
    runs = []
    for rank in range(2):
        with together(Seat(rank, 2)):
            runs.append(tiny_run(Remembers))
    on_members(2, lambda rank: Trainer(runs[rank], RunFolder(tmp_path / str(rank))).train_step())
    objective = runs[0].objective
    assert len(objective.index_B.unique()) == 6
    for name, modality in runs[0].data.train.modalities.items():
        assert torch.equal(objective.given[name], modality.values[objective.index_B])


def test_the_context_tells_kind_and_shape() -> None:
    built = tiny_run(Remembers)
    told = built.objective.context.modalities
    assert (told["caption"].kind, told["caption"].shape) == ("tokens", (3, 6))
    assert (told["attributes"].kind, told["attributes"].shape) == ("vector", (2,))
    assert told["caption"].decoder(3)(torch.zeros(5, 3)).shape == (5, 3, 6)


def built_on(split: Mapping[str, Modality], modalities: Mapping[str, Choice]) -> None:
    data = tiny_data()
    data = dataclasses.replace(data, train=dataclasses.replace(data.train, modalities=split))
    experiment = dataclasses.replace(tiny_experiment(Remembers), modalities=modalities)
    build_run(experiment, StubRegistry(objective=Remembers), data, torch.device("cpu"))  # type: ignore[arg-type]


def test_data_without_the_modality_is_refused_before_training() -> None:
    caption = tiny_data().train.modalities["caption"]
    with pytest.raises(UserError) as error:
        built_on({"caption": caption}, TINY_MODALITIES)
    assert str(error.value) == (
        "objective 'tiny' learns from the modality 'attributes', and the data set 'tiny' has the modalities caption; "
        "give it a parameter that adds this one (simssl show dataset tiny), or take another data set"
    )


def test_a_modality_that_no_one_has_is_refused_before_training(
    simssl: Callable[..., Result], small: Callable[..., Path]
) -> None:
    """Also where no objective learns from it: it may be misspelt, or the data set's parameter may be missing."""
    file = small(modalities=CAPTION)
    result = simssl("run", file)
    assert result.exit_code == 2
    assert "modalities.caption: the data set 'digits' has no modality; give it a parameter that adds" in result.stderr
    result = simssl("run", file, "-s", "dataset.captions=true")
    assert result.exit_code == 0, result.stderr


def test_a_backbone_of_another_kind_is_refused_before_training() -> None:
    swapped = {"caption": TINY_MODALITIES["attributes"], "attributes": TINY_MODALITIES["attributes"]}
    with pytest.raises(UserError) as error:
        built_on(tiny_data().train.modalities, swapped)
    assert str(error.value) == (
        "modalities.caption.backbone: 'tiny_vector' takes vector, and the data set's 'caption' is of tokens; name a "
        "backbone that takes tokens"
    )


@pytest.mark.parametrize("name", [name for name in REGISTRY.names("objective") if name not in ("clip", "mopoe")])
def test_no_other_objective_sees_a_difference(name: str, tmp_path: Path) -> None:
    """With modalities in the data and in the file its weights are, bit for bit, what they are without."""
    objective = REGISTRY.load("objective", name)
    weights = []
    for there in (False, True):
        data = tiny_data()
        if not there:
            without = {key: dataclasses.replace(getattr(data, key), modalities={}) for key in ("train", "test")}
            data = dataclasses.replace(data, **without)
        experiment = dataclasses.replace(tiny_experiment(objective), modalities=TINY_MODALITIES if there else {})
        built = build_run(experiment, StubRegistry(objective=objective), data, torch.device("cpu"))  # type: ignore[arg-type]
        assert not built.objective.context.modalities
        train_steps(built, tmp_path / str(there), 3, save=True)
        state = checkpoint.load_state(tmp_path / str(there) / "checkpoint.pt")
        assert state is not None
        assert "modalities" not in state
        weights.append(built.objective.state_dict())
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key]), key


def test_a_run_is_loaded_without_its_data(simssl: Callable[..., Result], small: Callable[..., Path]) -> None:
    import simssl as package

    changes = {
        "dataset": {"name": "captioned_digits"},
        "modalities": CAPTION,
        "objective": {"name": "clip"},
        "evaluators": [],
    }
    path = small(**changes)
    result = simssl("run", path, "--plugin", DIGITS, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    (run,) = Path("runs/small").glob("clip-*")
    state = checkpoint.load_state(run / "checkpoint.pt")
    assert state is not None
    assert state["modalities"] == {"caption": ["tokens", [5, 17]]}
    model = package.load(run, device="cpu", plugins=[DIGITS])
    assert model.encode(torch.zeros(2, 1, 8, 8)).mean.shape == (2, 4)
    encoded = simssl("encode", run, "digits", "-o", "out.npz", "--plugin", DIGITS)
    assert encoded.exit_code == 0, encoded.stderr


@pytest.mark.parametrize(
    "forms", [{"caption": ["image", [1]]}, {"caption": ["tokens", [4]]}, {"caption": ["vector", [0]]}, [], {"a": 1}]
)
def test_a_checkpoint_of_other_forms_is_damaged(forms: Any, tmp_path: Path) -> None:
    built = tiny_run(Remembers)
    train_steps(built, tmp_path, 1, save=True)
    file = tmp_path / "checkpoint.pt"
    state = checkpoint.load_state(file)
    assert state is not None
    checkpoint.save_state(file, {**state, "modalities": forms})
    with pytest.raises(Exception, match="its modalities is no run's"):
        checkpoint.load_state(file)


WORDS = torch.tensor([[1, 2], [1, 0]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"values": WORDS}, "has either the names of a vector's entries, or the vocabulary of a text"),
        ({"values": WORDS.float(), "vocabulary": ("", "a", "b")}, "of tokens must be torch.int64 of two dimensions"),
        ({"values": WORDS, "vocabulary": ("", "a")}, "of tokens must lie between 0 and 1"),
        ({"values": WORDS, "names": ("a", "b")}, "of vector must be torch.float32 of two dimensions"),
        ({"values": WORDS.float(), "names": ("a", "b")}, "of vector must lie between 0 and 1"),
        ({"values": torch.full((2, 2), torch.nan), "names": ("a", "b")}, "of vector must lie between 0 and 1"),
        ({"values": WORDS.float() / 2, "names": ("a",)}, "a vector of 2 entries has 1 names"),
    ],
)
def test_a_modality_that_is_none_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ContractError, match=message):
        Modality(**given)


@pytest.mark.parametrize(
    "other",
    [Modality(WORDS, vocabulary=("", "b", "a")), Modality(WORDS[:, :1], vocabulary=("", "a", "b"))],
)
def test_words_of_test_are_those_of_train(other: Modality) -> None:
    images = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    train = Split(images, modalities={"caption": Modality(WORDS, vocabulary=("", "a", "b"))})
    assert Data.of(train, train).test is train
    assert Data.of(train, Split(images)).test is not None
    with pytest.raises(ContractError, match="the modality 'caption' of test has other names, words or lengths"):
        Data.of(train, Split(images, modalities={"caption": other}))
