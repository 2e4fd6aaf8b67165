"""What a plugin author subclasses, and the few types that pass between the plugins.

Tensor names end in their shape: B images of a batch, J views of an image, N images of a split, C channels,
H height, W width, D latent dimensions.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from simssl import API_VERSION
from simssl.blocks.losses.likelihoods import likelihood
from simssl.blocks.networks.autoencoder import GaussianAutoencoder
from simssl.errors import ContractError
from simssl.params import Params as BaseParams

VERSION = API_VERSION
"""Of this module, of the hooks and of `simssl.blocks`: raised by each change that breaks plugins."""

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

Progress = Callable[[str, int, int], None]
"""What a slow step reports: `progress(label, done, total)`."""


# --- data sets -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """What is known of each image of a split.

    `values` (N,): int64 with -1 for "no label" where `classes` names them, or float32. `role` says whether the
    target is content (kept by what self-supervised methods call the same image) or style.
    """

    values: Tensor
    classes: tuple[str, ...] | None = None
    role: Literal["content", "style"] | None = None


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W), uint8, with their targets; `group` (N,) marks images that share `y` (reserved)."""

    images: Tensor
    targets: Mapping[str, Target] = field(default_factory=dict)
    group: Tensor | None = None
    digest: str | None = None
    """Identifies the images' content, if it is known without reading them all (memory-mapped images)."""

    def __post_init__(self) -> None:
        if not isinstance(self.images, Tensor):
            raise ContractError(f"images must be a tensor, not {type(self.images).__name__}")
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            shape = tuple(self.images.shape)
            raise ContractError(f"images must be uint8 (N, C, H, W), not {self.images.dtype} {shape}")
        for name, target in self.targets.items():
            if not isinstance(target, Target):
                raise ContractError(f"target '{name}' must be a Target, not {type(target).__name__}")
            if target.values.shape != (len(self.images),):
                came = tuple(target.values.shape)
                raise ContractError(f"target '{name}' must have one value an image, ({len(self.images)},), not {came}")

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Data:
    """A data set. `fingerprint` identifies its content, and stands beside every number.

    `validation`: indices (V,) into train of the official validation images, which evaluators select on; without
    them it is the last tenth of a fixed permutation. They are trained on, unlabelled, like the rest of train.
    """

    train: Split
    test: Split | None
    fingerprint: str
    validation: Tensor | None = None

    def __post_init__(self) -> None:
        if self.test is not None and self.test.images.shape[1:] != self.train.images.shape[1:]:
            test, train = (tuple(split.images.shape[1:]) for split in (self.test, self.train))
            raise ContractError(f"the test images must be of the training images' shape {train}, not {test}")

    @property
    def held_out(self) -> str:
        """What evaluators select on, for their protocols."""
        return "the last tenth of train" if self.validation is None else "the official validation split, part of train"

    @classmethod
    def of(cls, train: Split, test: Split | None = None, *, validation: Tensor | None = None) -> Data:
        """The data with the SHA-256 of all images and targets as fingerprint (first 16 digits)."""
        digest = hashlib.sha256()
        for split in (train, test):
            if split is None:
                continue
            if split.digest:
                digest.update(split.digest.encode())
            else:
                _digest_content(digest, split.images)
            for name in sorted(split.targets):
                _digest_content(digest, split.targets[name].values)
        if validation is not None:
            _digest_content(digest, validation)
        return cls(train, test, digest.hexdigest()[:16], validation)


def _digest_content(digest: hashlib._Hash, tensor: Tensor) -> None:
    """Add type, shape and values; where they lie, if they do so in one piece."""
    digest.update(str((tensor.dtype, tuple(tensor.shape))).encode())
    digest.update(tensor.contiguous().numpy().reshape(-1).view("uint8").data)


class _Plugin:
    """What every kind has in common: a `Params` class, and an instance of it."""

    Params: ClassVar[type[BaseParams]] = BaseParams
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of `simssl.testing` that the plugin is known to fail: name -> reason. One that passes is an error."""
    params: Any  # an instance of the subclass's own Params

    def __init__(self, params: Any) -> None:
        self.params = params


class Dataset(_Plugin, ABC):
    """A data set: `load` reads it from a folder, or downloads it there."""

    @abstractmethod
    def load(self, root: Path, progress: Progress) -> Data:
        """Read the data below `root`; FileNotFoundError says what to put where if it cannot be had."""

    @classmethod
    def example(cls, root: Path) -> None:
        """Write a few images below `root` in the set's real format, for tests; nothing if it needs no file."""
        return


# --- backbones -------------------------------------------------------------------------------------------


class Backbone(_Plugin, ABC):
    """An encoder network and its mirror."""

    @abstractmethod
    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        """A network from images (B, *shape) in [0, 1] to (B, outputs)."""

    @abstractmethod
    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        """A network from (B, inputs) to logits (B, *shape)."""


# --- objectives ------------------------------------------------------------------------------------------


class Likelihood(Protocol):
    """p(x | z), as a function of the decoder's logits."""

    def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """log p(x | z) (B,), in nats, summed over channels and pixels."""

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        """The expected image, in [0, 1]."""


@dataclass(frozen=True)
class Context:
    """What an objective is told of the experiment it works in."""

    image_shape: Shape
    latent_dim: int
    num_images: int
    images_per_step: int
    """Images in each batch that `forward` is given; 0 for what is not trained."""
    steps: int
    binary: bool
    """Every image holds 0 and 1 alone (`views.finish.threshold`), so that a Bernoulli likelihood is one."""
    encoder: Callable[[int], nn.Module]
    """A new encoder of the experiment's backbone, with this many outputs."""
    decoder: Callable[[int], nn.Module]
    """A new decoder of the experiment's backbone, with this many inputs."""


@dataclass(frozen=True)
class Terms:
    """0-d tensors. Loss terms are summed and minimised; monitors are only recorded."""

    loss: Mapping[str, Tensor]
    monitor: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Posterior:
    """q(z | x): its mean (B, D), which is the representation, and its variance (B, D) if it has one."""

    mean: Tensor
    variance: Tensor | None = None


EncodeAll = Callable[[], Tensor]
"""Encodes every training image without augmentation: representations (N, D)."""


class Objective(nn.Module, _Plugin, ABC):
    """A self-supervised method: a loss over the views of each image, and the representation that it learns.

    No host synchronisation in `forward` and `after_step`: no `.item()`, no boolean-mask indexing, no Python
    branch on a tensor's value, so that a training step can be captured into a CUDA graph. All randomness comes
    from the generator that is handed in.
    """

    trained: ClassVar[bool] = True
    """False for what is not trained by gradient; it may have a `fit`."""
    permutation_invariant: ClassVar[bool] = False
    """True for a method whose loss is the same in whatever order the images of a batch come, if what is drawn for each
    comes along; `simssl.testing` then checks it."""
    capturable: ClassVar[bool] = True
    """False for a method whose step does on the host what a replay of its operations on the device would not repeat;
    it is trained step by step then."""
    views: tuple[str, ...] = ()
    """The views of each image that a step needs: "random" (augmented) or "plain". Their number is J.

    A method whose views depend on its parameters overrides `views_for` instead.
    """
    likelihood: Likelihood | None = None
    """p(x | z) of a method that decodes."""
    sigma2: float | None = None
    """Variance of p(z | y), that of the views' latents around their image's mean, where the method's model has one."""

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__()
        self.params = params
        self.context = context
        self.views = self.views_for(params)

    @classmethod
    def views_for(cls, params: Any) -> tuple[str, ...]:
        """The views that a step needs with these parameters. It is asked before the networks are built."""
        return cls.views

    @abstractmethod
    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """The representation of images in [0, 1]."""

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        """The terms of the loss, for J views of B images whose places in the training split are `index_B`."""
        raise NotImplementedError

    def fit(self, batches: Iterable[Tensor], generator: torch.Generator) -> None:
        """For what is not trained by gradient: one pass over the training images (B, C, H, W) in [0, 1]."""
        return

    def decode(self, z_BD: Tensor) -> Tensor:
        """Logits (B, C, H, W), as `likelihood` takes them."""
        raise NotImplementedError

    def layers(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        """Other layers that evaluators may measure, such as the projection: name -> (B, features)."""
        return {}

    def after_step(self, progress: Tensor) -> None:
        """Called after each optimiser step (teachers, queues); progress is a 0-d device tensor in [0, 1]."""
        return

    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> Tensor | None:
        """Called before each pass; may return sampling weights (N,), drawn from with replacement.

        A captured step is captured anew if another tensor or number stands in an attribute afterwards, or in a list or
        dict there. It is not if that is hidden in an object of another kind: write into tensors in place then.
        """
        return None

    def restarted_parameters(self) -> Iterable[nn.Parameter]:
        """Asked after `before_epoch`: parameters that it has set back, whose optimiser state is then set to zero."""
        return ()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Parameters for the optimiser, with settings of their own where they differ."""
        return [{"params": [p for p in self.parameters() if p.requires_grad]}]

    @property
    def decodes(self) -> bool:
        """Whether the method has a decoder of its own."""
        return type(self).decode is not Objective.decode and self.likelihood is not None


class EncoderObjective(Objective):
    """A method whose representation is the output of one encoder, in float32."""

    encoder: nn.Module

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.encoder = context.encoder(context.latent_dim)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """The encoder's output, without a variance."""
        return Posterior(self.encoder(x_BCHW).float())


class AutoencoderObjective(Objective):
    """A method whose representation is q(z | x) of a Gaussian autoencoder, and which decodes by p(x | z).

    Its Params inherit `simssl.blocks.losses.LikelihoodParams` before `simssl.Params`.
    """

    model: GaussianAutoencoder

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.likelihood: Likelihood = likelihood(params.likelihood, params.sigma2_x, context.binary)
        self.model = GaussianAutoencoder(context.encoder, context.decoder, context.latent_dim)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """The mean and the variance of q(z | x)."""
        mean_BD, log_variance_BD = self.model.infer(x_BCHW)
        return Posterior(mean_BD, log_variance_BD.exp())

    def decode(self, z_BD: Tensor) -> Tensor:
        """The autoencoder's logits (B, C, H, W)."""
        return self.model.decode(z_BD)


# --- evaluators ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """A number, its unit, and which direction is better (None: neither)."""

    value: float
    unit: str
    better: Literal["higher", "lower"] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """How this number was made, beyond what the whole result's protocol says. What was chosen or found on the way,
    and differs from run to run, stands under "selected" and "found"."""


@dataclass(frozen=True)
class Result:
    """What an evaluator found.

    `metrics`: "<target>/<metric>" or "<metric>" -> Metric. `images`: name -> uint8 (C, H, W).
    `protocol`: how the numbers were made, in plain JSON values; it travels with each of them.
    """

    metrics: Mapping[str, Metric]
    images: Mapping[str, Tensor] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    evaluator: str = ""
    """The evaluator's name (or its `as`) in the experiment; filled in by the core."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be measured, while the rest could: name -> reason."""


class Skip(Exception):
    """Raised by an evaluator that finds out while it runs that it does not apply; the message is the reason."""


class Subject(Protocol):
    """A frozen model and the data, as evaluators see them. Splits are "train" and "test"."""

    data: Data
    device: torch.device
    generator: torch.Generator
    """Seeded from the run's seed and the evaluator's name; on the device."""
    likelihood: Likelihood | None
    sigma2: float | None
    """The objective's: variance of an image's views around their mean in the method's model, if it has one."""

    def features(self, split: str, layer: str = "representation") -> Tensor:
        """(N, D) of every un-augmented image; computed once and cached beside the run. Skip if the method has no
        such layer."""

    def selection(self) -> tuple[Tensor, Tensor]:
        """Indices of training images to fit on, and of those held out to select on (`data.held_out` says which): the
        official validation images, or the last tenth of a fixed permutation of the training split, stratified by
        its first class target. Both come in that permutation's order."""

    def encode(self, x_BCHW: Tensor, layer: str = "representation") -> Tensor:
        """(B, D) of images in [0, 1], such as views; Skip if the method has no such layer."""

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """The posterior of images in [0, 1]."""

    def decode(self, z_BD: Tensor) -> Tensor:
        """Logits (B, C, H, W); only where `needs` names "decoder"."""

    def images(self, split: str, index_B: Tensor | slice) -> Tensor:
        """Un-augmented images of a split, (B, C, H, W) in [0, 1], finished as in training."""

    def draw_views(self, images_BCHW: Tensor, J: int) -> tuple[Tensor, dict[str, Tensor]]:
        """J random views of each uint8 image, (B, J, C, H, W), and the drawn parameters, each (B, J)."""

    def new_decoder(self) -> nn.Module:
        """An untrained decoder of the experiment's backbone, from the representation to logits; its initial weights
        come from the generator."""


@dataclass(frozen=True)
class Oracle:
    """Where an evaluator must find what is known: a representation that has the answer, and noise that has none.

    Values are (least, most), each included, by the metric's name.
    """

    representation: Callable[[Tensor], Tensor]
    """Of images (B, C, H, W) in [0, 1], views or not: (B, D)."""
    values: Mapping[str, tuple[float, float]]
    """What is found with the representation."""
    noise: Mapping[str, tuple[float, float]]
    """What is found with N(0, I) in its place, whatever the image: chance."""
    data: Data | None = None
    """If None, 96 training and 48 test images of 1 x 8 x 8: a bright square in one of four corners, target `corner`."""
    decode: Callable[[Tensor], Tensor] | None = None
    """Expected images in [0, 1] of representations; without it, the method has no decoder."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The evaluator's parameters, where they are not the defaults."""


NEEDS = frozenset({"labels", "test", "decoder", "no_decoder", "variance", "views"})
"""What an evaluator can need: labels of a class target; a test split; a method with a decoder of its own, or one
without; one whose posterior has a variance; views that are drawn at random."""


class Evaluator(_Plugin, ABC):
    """A measurement on the frozen model. What it `needs` and the run lacks is recorded as skipped."""

    needs: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def run(self, subject: Subject) -> Result:
        """Measure; gradients are off unless the evaluator turns them on for parameters of its own."""

    def check(self, data: Data) -> None:
        """Raise ValueError, before anything is trained, if the parameters do not fit the data."""
        return

    @classmethod
    def oracle(cls) -> Oracle | None:
        """A representation that has the answer, with the values that must be found, and those that chance gives;
        `simssl.testing` tries both. Of the effective rank of the test images' representations, say:

        ```python
        @classmethod
        def oracle(cls) -> Oracle:
            return Oracle(
                representation=lambda x_BCHW: torch.nn.functional.avg_pool2d(x_BCHW, 4).flatten(1),
                values={"rank": (2.9, 3.3)},
                noise={"rank": (3.5, 4.0)},
            )
        ```

        The brightness of the quadrants of images whose bright square is in one of four corners lies, about its mean,
        in three dimensions; noise in four.
        """
        return None


# --- trackers --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunInfo:
    """What a tracker is told when a run starts (or goes on)."""

    directory: Path
    experiment: str
    objective: str
    seed: int
    device: str
    start_step: int
    """Steps that were done before; 0 for a new run."""
    steps: int
    views_per_step: int
    settings: Mapping[str, Any]
    """The resolved experiment file."""


class Tracker(_Plugin):
    """Sees a run go by. An exception in a tracker warns once and detaches it."""

    def started(self, run: RunInfo) -> None:
        """Training starts, or goes on."""

    def logged(self, step: int, terms: dict[str, float]) -> None:
        """The mean of each term since the last call, and their sum as "loss"; at `training.log_every` steps."""

    def evaluated(self, result: Result, subject: Subject) -> None:
        """An evaluator has finished."""

    def ended(self, error: BaseException | None) -> None:
        """The run is over; `error` is what ended it early."""


def views_of(objective: type[Objective], params: Any) -> tuple[str, ...]:
    """The views of an objective with these parameters, whose networks need not exist yet.

    ContractError if there are none, or of another kind.
    """
    views = objective.views_for(params)
    kinds = {"random", "plain"}
    if isinstance(views, property):
        name = f"{objective.__name__}.views"
        raise ContractError(f"{name} is a property; define the class method views_for(params) in its place")
    if not isinstance(views, tuple | list) or not kinds.issuperset(views) or (objective.trained and not views):
        raise ContractError(f"{objective.__name__}.views must be a tuple of 'random' and 'plain', not {views}")
    return tuple(views)


def undefined(plugin: type[Any]) -> list[str]:
    """The methods that a plugin class must still define."""
    missing = sorted(getattr(plugin, "__abstractmethods__", ()))
    if issubclass(plugin, Objective) and plugin.trained:
        if plugin.forward is Objective.forward:
            missing.append("forward")
        if plugin.views == () and plugin.views_for.__func__ is Objective.views_for.__func__:  # type: ignore[attr-defined]
            missing.append("views")
    return missing
