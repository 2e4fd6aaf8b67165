"""Each check of the conformance suite finds what it is there to find: a plugin that is wrong in that one way."""

from __future__ import annotations

import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import (
    Backbone,
    Context,
    Data,
    Dataset,
    Evaluator,
    Metric,
    Oracle,
    Posterior,
    Progress,
    Result,
    RunInfo,
    Shape,
    Skip,
    Split,
    Subject,
    Target,
    Terms,
    Tracker,
)
from simssl.testing import CHECKS, DoesNotApply, outcomes, run_check
from simssl.testing.fixtures import TinyBackbone, TinyDataset, TinyEncoder, TinyObjective, tiny_data
from simssl.testing.modalities import TinyText, TinyVector

Generator = torch.Generator

# --- every kind ------------------------------------------------------------------------------------------


class Undocumented(TinyEncoder):
    """One of its parameters is not explained."""

    class Params(simssl.Params):
        width: int = Field(1, ge=1)


class UndocumentedWithin(TinyEncoder):
    """A part of one of its parameters is not explained."""

    class Params(simssl.Params):
        head: Undocumented.Params = Undocumented.Params()
        "Of the head."


class Unbounded(TinyEncoder):
    """One of its parameters may be any number."""

    class Params(simssl.Params):
        widths: tuple[int, ...] = (1,)
        "Of the layers."


class UnboundedForAReason(TinyEncoder):
    """One of its parameters may be any number, and it says why."""

    class Params(simssl.Params):
        shift: float = Field(0.0, json_schema_extra={"unbounded": "a position on a line"})
        "Of the mean."


class BoundedForAReason(TinyEncoder):
    """It says why a parameter has no bound, and the parameter has one."""

    class Params(simssl.Params):
        shift: float = Field(0.0, ge=0, json_schema_extra={"unbounded": "a position on a line"})
        "Of the mean."


class Unsettled(TinyEncoder):
    """A parameter has neither a default nor an example."""

    class Params(simssl.Params):
        width: int = Field(ge=1)
        "Of the layer."


class Unexcused(TinyEncoder):
    """It expects a failure of a check of another kind."""

    expected_failures = {"gradient_reaches_every_weight": "some are frozen"}


class Speechless(TinyEncoder):
    """It expects a failure without a reason."""

    expected_failures = {"representation_is_deterministic": " "}


# --- data sets -------------------------------------------------------------------------------------------


class Reads(Dataset):
    """It reads a file that `example` does not write."""

    def load(self, root: Path, progress: Progress) -> Data:
        (root / "images.bin").read_bytes()
        return tiny_data()


class Untested(TinyDataset):
    """Its test split lacks the target."""

    def load(self, root: Path, progress: Progress) -> Data:
        data = super().load(root, progress)
        return Data.of(data.train, Split(data.test.images))  # type: ignore[union-attr]


class CountsFromOne(TinyDataset):
    """Its labels are not those of its classes."""

    def load(self, root: Path, progress: Progress) -> Data:
        train = super().load(root, progress).train
        corner = train.targets["corner"]
        return Data.of(Split(train.images, {"corner": Target(corner.values + 1, corner.classes)}))


class EmptyTest(TinyDataset):
    """Its test split has no image."""

    def load(self, root: Path, progress: Progress) -> Data:
        train = super().load(root, progress).train
        corner = train.targets["corner"]
        none = Split(train.images[:0], {"corner": Target(corner.values[:0], corner.classes)})
        return Data.of(train, none)


class Noisy(TinyDataset):
    """Its images are others each time, under one fingerprint."""

    def load(self, root: Path, progress: Progress) -> Data:
        return Data(Split((torch.rand(4, 1, 8, 8) * 255).byte()), None, "always the same")


class Timestamped(TinyDataset):
    """Its fingerprint is another each time."""

    loads: ClassVar[list[None]] = []

    def load(self, root: Path, progress: Progress) -> Data:
        self.loads.append(None)
        return Data(super().load(root, progress).train, None, f"load {len(self.loads)}")


# --- backbones -------------------------------------------------------------------------------------------


class Narrow(TinyBackbone):
    """Its encoder has one output less."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return super().encoder(shape, outputs - 1)


class EncoderAlone(Backbone):
    """Without a mirror."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))


class Even(TinyBackbone):
    """It refuses odd sides."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        if shape[1] % 2 or shape[2] % 2:
            raise ValueError(f"the sides must be even, not {shape[1]} x {shape[2]}")
        return super().encoder(shape, outputs)


class Refusing(TinyBackbone):
    """It refuses every shape."""

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        raise ValueError("images must be of 5 channels")


class OfNothing(TinyBackbone):
    """What it takes is nothing that there is."""

    input = "text"  # type: ignore[assignment]


class MeanOfWords(TinyText):
    """It divides by the number of words, which may be none."""

    class Mean(nn.Module):
        def __init__(self, vocabulary: int, outputs: int) -> None:
            super().__init__()
            self.words = nn.Embedding(vocabulary, outputs)

        def forward(self, tokens_BL: Tensor) -> Tensor:
            is_word_BL1 = (tokens_BL != 0)[..., None]
            total: Tensor = (self.words(tokens_BL) * is_word_BL1).sum(1) / is_word_BL1.sum(1)
            return total

    def encoder(self, shape: tuple[int, int], outputs: int) -> nn.Module:
        _, vocabulary = shape
        return self.Mean(vocabulary, outputs)


class BatchDependent(TinyBackbone):
    """Its encoder centres the batch, in evaluation too."""

    class Centred(nn.Module):
        def forward(self, x_BD: Tensor) -> Tensor:
            return x_BD - x_BD.mean(0)

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(super().encoder(shape, outputs), self.Centred())


class Idle(TinyBackbone):
    """Its decoder has a layer that is not used."""

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        network = super().decoder(shape, inputs)
        network.register_parameter("idle", nn.Parameter(torch.ones(2)))
        return network


class Fixed(TinyBackbone):
    """Its weights do not depend on the seed."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        network = super().encoder(shape, outputs)
        for parameter in network.parameters():
            nn.init.constant_(parameter, 0.1)
        return network


# --- objectives ------------------------------------------------------------------------------------------


class Scaled(TinyObjective):
    """The loss, every term times what `factor` says."""

    def factor(self, generator: Generator) -> Tensor | float:
        return 1.0

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms({name: value * self.factor(generator) for name, value in terms.loss.items()})


class Infinite(Scaled):
    """A loss that is no number."""

    def factor(self, generator: Generator) -> Tensor | float:
        return torch.inf


class TermCalledLoss(TinyObjective):
    """A monitor with the name of the sum."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms(terms.loss, {"loss": terms.loss["kl"]})


class TermTwice(TinyObjective):
    """A monitor with the name of a term."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms(terms.loss, {"kl": terms.loss["kl"].detach()})


class NotAScalar(TinyObjective):
    """A term for each image."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        return Terms({"kl": self.model.infer(x_BJCHW[:, 0])[0].sum(1)})


class Detached(TinyObjective):
    """The decoder's part of the loss has no gradient."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms({"reconstruction": terms.loss["reconstruction"].detach(), "kl": terms.loss["kl"]})


class Uphill(TinyObjective):
    """The right loss with the wrong sign of the gradient."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        terms = super().forward(x_BJCHW, index_B, generator)
        return Terms({name: 2 * value.detach() - value for name, value in terms.loss.items()})


class Forgetful(Scaled):
    """A counter of its own that lives outside the buffers, and so is neither restored nor replayed."""

    calls = 0

    def factor(self, generator: Generator) -> Tensor | float:
        self.calls += 1
        return 2.0**self.calls


class Invariant(TinyObjective):
    """Nothing is wrong with it."""

    permutation_invariant = True


class FirstCounts(TinyObjective):
    """It says that the order of the images does not matter, and the first counts more."""

    permutation_invariant = True

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        weights_B = torch.arange(len(x_BJCHW), dtype=torch.float32)
        return Terms({"length": (self.posterior(x_BJCHW[:, 0]).mean.square().sum(1) * weights_B).mean()})


class Neighbours(FirstCounts):
    """It compares each image with the one before it."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        z_BD = self.posterior(x_BJCHW[:, 0]).mean
        return Terms({"distance": (z_BD - z_BD.roll(1, 0)).square().sum(1).mean()})


class Drawn(Scaled):
    """A factor that does not come from the generator that is handed in."""

    def factor(self, generator: Generator) -> Tensor | float:
        return 1 + torch.rand(())


class DrawnByNumPy(Scaled):
    """As `Drawn`, by NumPy."""

    def factor(self, generator: Generator) -> Tensor | float:
        return 1 + float(np.random.rand())


class DrawnByPython(Scaled):
    """As `Drawn`, by Python."""

    def factor(self, generator: Generator) -> Tensor | float:
        return 1 + random.random()


class DrawnAndPutBack(Scaled):
    """As `Drawn`, and the state is then put back."""

    def factor(self, generator: Generator) -> Tensor | float:
        with torch.random.fork_rng():
            return 1 + torch.rand(())


class SampledRepresentation(TinyObjective):
    """Its representation is drawn anew each time."""

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        posterior = super().posterior(x_BCHW)
        return Posterior(posterior.mean + torch.randn_like(posterior.mean), posterior.variance)


class CentredRepresentation(TinyObjective):
    """Its representation depends on the batch."""

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        posterior = super().posterior(x_BCHW)
        return Posterior(posterior.mean - posterior.mean.mean(0), posterior.variance)


class HalfRepresentation(TinyEncoder):
    """Its representation is of another type."""

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        return Posterior(super().posterior(x_BCHW).mean.double())


class Unsaved(TinyEncoder):
    """A direction of its representation is not in the state."""

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.shift_D = torch.randn(context.latent_dim)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        return Posterior(super().posterior(x_BCHW).mean + self.shift_D)


class OfTheEpoch(Scaled):
    """It keeps on the host what an epoch begins with."""

    scale = 1.0

    def before_epoch(self, epoch: int, encode_all: Any, generator: Generator) -> None:
        self.scale = float(torch.rand((), generator=generator))

    def factor(self, generator: Generator) -> Tensor | float:
        return self.scale


class Waits(Scaled):
    """It reads a value on the host."""

    def factor(self, generator: Generator) -> Tensor | float:
        return float(torch.rand((), generator=generator)) + 0.5


class WaitsAfterwards(TinyObjective):
    """After the step it reads a value on the host."""

    def after_step(self, progress: Tensor) -> None:
        if progress > 0.7:
            self.model.requires_grad_(False)


class Masks(TinyObjective):
    """It indexes by a boolean mask."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        mean_BD, _ = self.model.infer(x_BJCHW[:, 0])
        return Terms({"length": mean_BD[mean_BD > 0].sum()})


class Replaces(TinyObjective):
    """It replaces a buffer by another tensor."""

    last: Tensor

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.register_buffer("last", torch.zeros(()))

    def after_step(self, progress: Tensor) -> None:
        self.last = progress + self.last


class Stale(TinyObjective):
    """Each epoch it hides another tensor in an object."""

    def before_epoch(self, epoch: int, encode_all: Any, generator: Generator) -> None:
        self.hidden = SimpleNamespace(target=torch.full((), float(epoch)))

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
        loss = super().forward(x_BJCHW, index_B, generator).loss
        return Terms({**loss, "pull": (self.posterior(x_BJCHW[:, 0]).mean - self.hidden.target).square().mean()})


class Crooked(TinyObjective):
    """Its decoder gives an image less of everything."""

    def decode(self, z_BD: Tensor) -> Tensor:
        return super().decode(z_BD)[..., 1:]


class Unclamped(TinyObjective):
    """Its expected images are no images."""

    class Raw:
        def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
            return -(x_BCHW - logits_BCHW).square().flatten(1).sum(1)

        def mean(self, logits_BCHW: Tensor) -> Tensor:
            return 10 * logits_BCHW

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.likelihood = self.Raw()


# --- evaluators ------------------------------------------------------------------------------------------


class Counting(Evaluator):
    """For methods without a decoder; its numbers do not repeat."""

    needs = frozenset({"no_decoder"})
    runs: ClassVar[list[None]] = []

    def run(self, subject: Subject) -> Result:
        self.runs.append(None)
        return Result({"runs": Metric(len(self.runs), "1")}, protocol={"split": "test"})


class OfFourClasses(Evaluator):
    """It skips data without an eighth class."""

    skips = True

    def run(self, subject: Subject) -> Result:
        if self.skips:
            raise Skip("there is no eighth class")
        return Result({"classes": Metric(8, "classes")}, protocol={"split": "test"})


class OfItsOracle(OfFourClasses):
    """It skips all data but its oracle's, and is wrong there."""

    def run(self, subject: Subject) -> Result:
        if len(subject.data.train) == 96:
            raise Skip("there is no eighth class")
        return Result({"a/b/classes": Metric(8, "classes")}, protocol={"split": "test"})

    @classmethod
    def oracle(cls) -> Oracle:
        images_NCHW = torch.zeros(8, 1, 4, 4, dtype=torch.uint8)
        data = Data.of(Split(images_NCHW), Split(images_NCHW))
        known = {"classes": (8.0, 8.0)}
        return Oracle(lambda x_BCHW: x_BCHW.flatten(1), known, known, data)


class SkipsItsOracle(OfFourClasses):
    """It skips the data on which it knows the answer."""

    @classmethod
    def oracle(cls) -> Oracle:
        known = {"classes": (8.0, 8.0)}
        return Oracle(lambda x_BCHW: x_BCHW.flatten(1), known, known)


class Meddling(Counting):
    """It trains the method that it measures."""

    def run(self, subject: Subject) -> Result:
        subject._objective.encoder[1].bias.add_(1)  # type: ignore[attr-defined]
        return super().run(subject)


class LeavesGradients(Counting):
    """It leaves gradients in the method that it measures."""

    def run(self, subject: Subject) -> Result:
        weight = subject._objective.encoder[1].weight  # type: ignore[attr-defined]
        weight.grad = torch.zeros_like(weight)
        return super().run(subject)


class Dice(Counting):
    """It throws dice of its own."""

    def run(self, subject: Subject) -> Result:
        return Result({"dice": Metric(random.random(), "1")}, protocol={"split": "test"})


class Nameless(Counting):
    """Its metric has a name that no table can hold."""

    def run(self, subject: Subject) -> Result:
        return Result({"a/b/c": Metric(1.0, "1")}, protocol={"split": "test"})


class Unmeasurable(Counting):
    """It finds no number."""

    def run(self, subject: Subject) -> Result:
        return Result({"ratio": Metric(float("nan"), "1")}, protocol={"split": "test"})


class Tensorial(Counting):
    """Its protocol is not JSON."""

    def run(self, subject: Subject) -> Result:
        return Result({"rank": Metric(1.0, "1", protocol={"k": torch.ones(1)})}, protocol={"split": "test"})


class Unexplained(Counting):
    """It has no protocol."""

    def run(self, subject: Subject) -> Result:
        return Result({"rank": Metric(1.0, "1")})


class Constant(Counting):
    """It finds one number whatever it sees; its oracle says what it should find."""

    needs = frozenset({"test"})

    def run(self, subject: Subject) -> Result:
        return Result({"score": Metric(0.5, "1")}, protocol={"split": "test"})

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(lambda x_BCHW: x_BCHW.flatten(1), {"score": (0.9, 1.0)}, {"score": (0.4, 0.6)})


class Flattering(Constant):
    """Noise has its best score."""

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(lambda x_BCHW: x_BCHW.flatten(1), {"score": (0.4, 0.6)}, {"score": (0.0, 0.1)})


class Mistaken(Constant):
    """Its oracle names a metric that it has not."""

    @classmethod
    def oracle(cls) -> Oracle:
        return Oracle(lambda x_BCHW: x_BCHW.flatten(1), {"accuracy": (0.4, 0.6)}, {"score": (0.4, 0.6)})


# --- trackers --------------------------------------------------------------------------------------------


class Loud(Tracker):
    """It takes no terms but the loss."""

    def logged(self, step: int, terms: dict[str, float]) -> None:
        (self.loss,) = terms.values()


class Gambling(Tracker):
    """It draws from the generator that others initialise weights with."""

    def logged(self, step: int, terms: dict[str, float]) -> None:
        torch.rand(())


class Once(Tracker):
    """It refuses a folder that it knows."""

    def started(self, run: RunInfo) -> None:
        (run.directory / "once").mkdir()


MUTANTS: dict[str, dict[str, dict[type[Any], str]]] = {
    "dataset": {
        "loads_what_it_writes": {
            Reads: "example does not write what load reads",
            Untested: "the targets of train are corner, those of test none",
        },
        "labels_name_their_classes": {CountsFromOne: "'corner' has labels from 1 to 4, and 4 classes"},
        "loading_repeats": {Noisy: "the default generator of torch was used", Timestamped: "has another fingerprint"},
    },
    "backbone": {
        "networks_have_the_shapes_they_are_asked_for": {
            Narrow: r"the encoder makes \(4, 6\) of \(4, 1, 28, 28\)",
            Refusing: r"it refuses every shape, \(1, 28, 28\): images must be of 5 channels",
            OfNothing: "its `input` is 'text', none of image, vector, tokens",
            MeanOfWords: r"the encoder makes numbers of \(4, 8\) that are not finite",
        },
        "no_image_depends_on_the_others_in_evaluation": {BatchDependent: "the encoder depends on the batch"},
        "gradient_reaches_every_weight": {Idle: "no gradient reaches idle of the decoder"},
        "weights_follow_the_seed": {Fixed: "another seed gives the encoder the same weights"},
    },
    "objective": {
        "parameters_are_documented": {
            Undocumented: "put a docstring under width",
            UndocumentedWithin: "put a docstring under Params.width",
        },
        "parameters_are_bounded": {
            Unbounded: "Params.widths has no bound",
            BoundedForAReason: "Params.shift has a bound: take out 'unbounded'",
        },
        "defaults_are_valid": {Unsettled: "give width a default"},
        "expected_failures_are_declared": {
            Unexcused: "'gradient_reaches_every_weight', which is no check of its kind",
            Speechless: "gives no reason for 'representation_is_deterministic'",
        },
        "loss_is_finite_and_the_sum_of_its_terms": {
            Infinite: "the term 'reconstruction' is inf",
            TermCalledLoss: "cannot be called 'loss', which is the name of the sum",
            TermTwice: "'kl' is a term of the loss and a monitor",
            NotAScalar: r"a float32 tensor \(6,\), not a tensor \(\)",
        },
        "gradient_reaches_every_trainable_parameter": {Detached: "no gradient reaches model.decoder.0.weight"},
        "small_step_along_the_negative_gradient_lowers_the_loss": {
            Uphill: "times the weights' length change it by",
            Forgetful: "times the weights' length change it by",
        },
        "permuting_the_images_changes_only_rounding": {
            FirstCounts: "the gradient changes by|the term 'length' changes by",
            Neighbours: "the gradient changes by|the term 'distance' changes by",
        },
        "randomness_comes_from_the_generator_alone": {
            Drawn: "the default generator of torch was used",
            DrawnByNumPy: "the default generator of NumPy was used",
            DrawnByPython: "the default generator of Python was used",
            DrawnAndPutBack: "from the same state of the generator comes another result",
        },
        "representation_is_deterministic": {
            SampledRepresentation: "it is another each time",
            CentredRepresentation: "it depends on the batch",
            HalfRepresentation: "it is torch.float64",
        },
        "decoder_returns_images": {Crooked: r"the logits are \(4, 1, 8, 7\)", Unclamped: r"leave \[0, 1\]"},
        "state_survives_a_round_trip": {Unsaved: "is not all in the state"},
        "resumed_run_is_bit_equal": {Forgetful: "differs after a resumption", OfTheEpoch: "differs after a resumption"},
        "host_never_waits_in_a_step": {
            Waits: "makes the host wait for the device",
            WaitsAfterwards: "makes the host wait",
            Masks: "with a boolean mask",
        },
        "replayed_steps_are_the_eager_ones": {
            Forgetful: "its step cannot be captured: a step changes 'calls', a number on the host",
            Replaces: "puts another tensor in the place of",
            Stale: "differs where steps are replayed",
        },
    },
    "evaluator": {
        "result_is_well_formed": {
            Nameless: "'a/b/c' is neither <metric> nor <target>/<metric>",
            OfItsOracle: "'a/b/classes' is neither <metric> nor <target>/<metric>",
            Unmeasurable: "'ratio' is nan",
            Tensorial: "the protocol of 'rank' is not JSON",
            Unexplained: "there is no protocol",
        },
        "randomness_comes_from_the_subject_alone": {
            Counting: "'runs' is 1, and 2 the second time",
            Dice: "the default generator of Python was used",
        },
        "model_is_left_alone": {
            Meddling: "encoder.1.bias was changed",
            LeavesGradients: "encoder.1.weight has a gradient",
        },
        "oracle_reaches_its_values_and_noise_falls_to_chance": {
            SkipsItsOracle: "it skips the oracle: there is no eighth class",
            Constant: "'score' of the oracle is 0.5, not from 0.9 to 1",
            Flattering: "'score' of noise is 0.5, not from 0 to 0.1",
            Mistaken: "of the oracle there is no metric 'accuracy' but score",
        },
    },
    "tracker": {
        "follows_a_run": {Loud: "too many values", Gambling: "the default generator of torch was used"},
        "follows_a_run_that_goes_on_and_fails": {Once: "once"},
    },
}
"""Of each kind and check the plugins that it finds, with what it says."""

ON_TWO_PROCESSES = "two_processes_train_as_one"
"""Its mistakes are in `test_two_processes.py`."""
ON_CUDA = "step_is_captured_on_cuda"
"""Needs a device to find anything; what it does is `replayed_steps_are_the_eager_ones` with CUDA's own graphs."""


CASES = [
    pytest.param(kind, check, plugin, said, id=f"{check}-{plugin.__name__}")
    for kind, checks in MUTANTS.items()
    for check, wrong in checks.items()
    for plugin, said in wrong.items()
]


@pytest.mark.parametrize(("kind", "check", "plugin", "said"), CASES)
def test_a_check_finds_what_is_wrong(kind: str, check: str, plugin: type[Any], said: str, tmp_path: Path) -> None:
    Counting.runs.clear()
    with pytest.raises(Exception, match=said):
        run_check(kind, check, plugin, tmp_path)


def test_every_check_can_fail() -> None:
    checked = {check for checks in MUTANTS.values() for check in checks}
    assert checked | {ON_CUDA, ON_TWO_PROCESSES} == {check for checks in CHECKS.values() for check in checks}


@pytest.mark.parametrize(
    ("kind", "plugin"),
    [
        ("dataset", TinyDataset),
        ("backbone", TinyBackbone),
        ("backbone", Even),
        ("backbone", EncoderAlone),
        ("backbone", TinyText),
        ("backbone", TinyVector),
        ("objective", TinyObjective),
        ("objective", TinyEncoder),
        ("objective", Invariant),
        ("objective", UnboundedForAReason),
        ("tracker", Tracker),
    ],
)
def test_what_is_right_passes(kind: str, plugin: type[Any]) -> None:
    results = outcomes(kind, plugin)
    assert [outcome for outcome in results if outcome.status not in ("ok", "skipped")] == []
    assert [outcome.check for outcome in results] == list(CHECKS[kind])


def test_an_evaluator_that_skips_the_small_data_fails_no_check() -> None:
    results = outcomes("evaluator", OfFourClasses)
    assert {outcome.status for outcome in results} == {"ok", "skipped"}
    reasons = [outcome.reason for outcome in results if outcome.check == "result_is_well_formed"]
    assert reasons == [
        "no method of the suite has all that it needs: it skips the suite's small data: there is no eighth class"
    ]


def test_a_split_without_images_is_told_once(tmp_path: Path) -> None:
    """By the check that is about the split, and not by the one that looks at its labels, too."""
    with pytest.raises(AssertionError, match="there is no test image: leave out the test split"):
        run_check("dataset", "loads_what_it_writes", EmptyTest, tmp_path)
    run_check("dataset", "labels_name_their_classes", EmptyTest, tmp_path)


def test_what_is_declared_to_wait_may_wait(tmp_path: Path) -> None:
    """`capturable = False` is what the training loop reads; a host that waits is an expected failure."""

    class Declared(Waits):
        capturable = False
        expected_failures = {"host_never_waits_in_a_step": "a branch on the loss is its method"}

    of_check = {outcome.check: outcome for outcome in outcomes("objective", Declared)}
    assert of_check["replayed_steps_are_the_eager_ones"].status == "skipped"
    waits = of_check["host_never_waits_in_a_step"]
    assert (waits.status, waits.reason) == ("expected", "a branch on the loss is its method")
    with pytest.raises(DoesNotApply, match="capturable = False"):
        run_check("objective", ON_CUDA, Declared, tmp_path)


def test_an_expected_failure_that_passes_fails(tmp_path: Path) -> None:
    class Cured(TinyEncoder):
        expected_failures = {
            "representation_is_deterministic": "it is sampled",
            "gradient_reaches_every_trainable_parameter": "a part is frozen",
        }

    take_out = "out of Cured.expected_failures, where the reason is"
    with pytest.raises(AssertionError, match=f"it passes: take .* {take_out} 'it is sampled'"):
        run_check("objective", "representation_is_deterministic", Cured, tmp_path)
    with pytest.raises(AssertionError, match=f"it does not apply .*: take .* {take_out} 'a part is frozen'"):
        run_check("objective", "gradient_reaches_every_trainable_parameter", Cured, tmp_path)


@pytest.mark.parametrize("order", ["image", "view", "shuffled", "mixed"])
def test_noise_is_permuted_along(order: str, tmp_path: Path) -> None:
    """However an objective draws for each view of each image, and if it draws an order of the images."""

    class Draws(TinyObjective):
        """Adds noise to the representation of every view."""

        permutation_invariant = True
        views = ("random", "random", "random")

        def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: Generator) -> Terms:
            B, J = x_BJCHW.shape[:2]
            z_BJD = self.posterior(x_BJCHW.flatten(0, 1)).mean.unflatten(0, (B, J))
            if order == "image":
                noise_BJD = torch.randn(B * J, z_BJD.shape[2], generator=generator).view_as(z_BJD)
            elif order == "view":
                noise_BJD = torch.randn(J, B, z_BJD.shape[2], generator=generator).transpose(0, 1)
            elif order == "mixed":
                keep_B = torch.bernoulli(z_BJD.detach().mean((1, 2)).sigmoid(), generator=generator)
                noise_BJD = keep_B[:, None, None] * torch.empty_like(z_BJD).normal_(generator=generator)
            else:
                noise_BJD = z_BJD[torch.randperm(B, generator=generator)]
            return Terms({"length": (z_BJD * noise_BJD).exp().sum(2).mean()})

    run_check("objective", "permuting_the_images_changes_only_rounding", Draws, tmp_path)
