"""The classes that a plugin's author subclasses, and the few types that pass between the plugins.

Tensor names end in their shape: B images of a batch, J views of an image, N images of a split, C channels,
H height, W width, D latent dimensions.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from simssl.blocks.losses import LearnedGaussian, likelihood
from simssl.blocks.networks import GaussianAutoencoder
from simssl.blocks.precision import at_least_float32
from simssl.errors import ContractError
from simssl.params import Params as BaseParams
from simssl.version import API_VERSION

VERSION = API_VERSION
"""The version of this module, of the hooks and of `simssl.blocks`. Each change that breaks plugins raises it."""

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""

Progress = Callable[[str, int, int], None]
"""A function that a slow step calls as it goes on: `progress(label, done, total)`."""


# --- data sets -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A value that is known of each image of a split.

    `values` (N,) are float32; or int64 where `classes` names them, with -1 for "no label". `role` is "content" if the
    value stays the same over all that self-supervised methods treat as the same image, and "style" if it changes.
    """

    values: Tensor
    classes: tuple[str, ...] | None = None
    role: Literal["content", "style"] | None = None
    period: float | None = None
    """The length of the circle that the values of a target without classes lie on, such as 360 for degrees. They are
    regressed as cosine and sine. None if they lie on a line."""

    def __post_init__(self) -> None:
        if self.period is None:
            return
        if self.classes is not None:
            raise ContractError("a target with classes has no period")
        if not 0 < self.period < math.inf:
            raise ContractError(f"the period of a target must be above 0 and finite, not {self.period}")


@dataclass(frozen=True)
class Modality:
    """One more thing that is known of each image of a split, beside its pixels: a vector, or a text.

    A vector's `values` are float32 (N, V) in [0, 1], and `names` are those of its V entries. A text's are int64 (N, L),
    its words by their place in `vocabulary`. Word 0 is none: it fills up texts of fewer than L words.
    """

    values: Tensor
    names: tuple[str, ...] | None = None
    vocabulary: tuple[str, ...] | None = None

    @property
    def kind(self) -> Literal["vector", "tokens"]:
        """What a backbone for it has to take."""
        return "tokens" if self.vocabulary is not None else "vector"

    def __post_init__(self) -> None:
        if (self.names is None) == (self.vocabulary is None):
            raise ContractError("a modality has either the names of a vector's entries, or the vocabulary of a text")
        values = self.values
        dtype = torch.int64 if self.kind == "tokens" else torch.float32
        if values.dtype != dtype or values.ndim != 2:
            came = f"{values.dtype} {tuple(values.shape)}"
            raise ContractError(f"a modality of {self.kind} must be {dtype} of two dimensions, not {came}")
        if not values.shape[1]:
            raise ContractError(f"a modality of {self.kind} must have at least one value an image")
        if self.names is not None and len(self.names) != values.shape[1]:
            raise ContractError(f"a vector of {values.shape[1]} entries has {len(self.names)} names")
        most = 1 if self.vocabulary is None else len(self.vocabulary) - 1
        if len(values) and not (values.min() >= 0 and values.max() <= most):
            raise ContractError(f"the values of a modality of {self.kind} must lie between 0 and {most}")


@dataclass(frozen=True)
class Split:
    """Images (N, C, H, W), uint8, with their targets and modalities by name.

    `group` (N,), int64, has one number for all images of an object, a person or a clip, say, and -1 for an image of no
    group. `positives: {share: [group]}` draws the views of an image from its group.
    """

    images: Tensor
    targets: Mapping[str, Target] = field(default_factory=dict)
    group: Tensor | None = None
    digest: str | None = None
    """A hash of the images, where it is known without reading them all (memory-mapped images)."""
    modalities: Mapping[str, Modality] = field(default_factory=dict)
    """What is known of each image beside its pixels and targets. Methods that learn from it name it."""

    def __post_init__(self) -> None:
        images = self.images
        if not isinstance(images, Tensor):
            raise ContractError(f"images must be a tensor, not {type(images).__name__}")
        if images.dtype != torch.uint8 or images.ndim != 4:
            shape = tuple(images.shape)
            raise ContractError(f"images must be uint8 (N, C, H, W), not {images.dtype} {shape}")
        for name, target in self.targets.items():
            if not isinstance(target, Target):
                raise ContractError(f"target '{name}' must be a Target, not {type(target).__name__}")
            if target.values.shape != (len(images),):
                wanted = f"({len(images)},)"
                came = tuple(target.values.shape)
                raise ContractError(f"target '{name}' must have one value an image, {wanted}, not {came}")
        group = self.group
        if group is not None and (group.dtype != torch.int64 or group.shape != (len(images),)):
            kind = f"{group.dtype} {tuple(group.shape)}"
            raise ContractError(f"the group must have one int64 number an image, ({len(images)},), not {kind}")
        for name, modality in self.modalities.items():
            if len(modality.values) != len(images):
                raise ContractError(
                    f"modality '{name}' must have one row an image, {len(images)}, not {len(modality.values)}"
                )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Data:
    """A data set. `fingerprint` identifies its content, and stands beside every number.

    `validation` (V,) are the indices in `train` of the V official validation images, which evaluators select on. If
    it is None, they select on the last tenth of a fixed permutation of `train`. The images are trained on, unlabelled,
    like the rest of `train`.
    """

    train: Split
    test: Split | None
    fingerprint: str
    validation: Tensor | None = None

    def __post_init__(self) -> None:
        if self.test is None:
            return
        train = tuple(self.train.images.shape[1:])
        test = tuple(self.test.images.shape[1:])
        if test != train:
            raise ContractError(f"the test images must be of the training images' shape {train}, not {test}")
        for name, modality in self.test.modalities.items():
            self._require_alike(name, modality)

    def _require_alike(self, name: str, test: Modality) -> None:
        """Raise ContractError if a modality of test has other words, names or lengths than that of train."""
        train = self.train.modalities.get(name)
        if train is None:
            return
        alike = (train.names, train.vocabulary, train.values.shape[1])
        if alike != (test.names, test.vocabulary, test.values.shape[1]):
            raise ContractError(f"the modality '{name}' of test has other names, words or lengths than that of train")

    @property
    def held_out(self) -> str:
        """The images that evaluators select on, in words for their protocols."""
        if self.validation is None:
            return "the last tenth of train"
        return "the official validation split, part of train"

    @classmethod
    def of(cls, train: Split, test: Split | None = None, *, validation: Tensor | None = None) -> Data:
        """Return the data, with the first 16 digits of the SHA-256 of all that it holds as its fingerprint."""
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
            if split.group is not None:
                _digest_content(digest, split.group)
            for name in sorted(split.modalities):
                _digest_content(digest, split.modalities[name].values)
        if validation is not None:
            _digest_content(digest, validation)
        return cls(train, test, digest.hexdigest()[:16], validation)


def _digest_content(digest: hashlib._Hash, tensor: Tensor) -> None:
    """Add a tensor's type, shape and values to a hash. Values that are contiguous are not copied."""
    header = str((tensor.dtype, tuple(tensor.shape)))
    digest.update(header.encode())
    values = tensor.contiguous().numpy().reshape(-1)
    digest.update(values.view("uint8").data)


class _Plugin:
    """The base of every kind: a `Params` class, and an instance of it."""

    Params: ClassVar[type[BaseParams]] = BaseParams
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of `simssl.testing` that the plugin is known to fail: name -> reason. If one passes, that is an error."""
    params: Any  # an instance of the subclass's own Params

    def __init__(self, params: Any) -> None:
        self.params = params

    @classmethod
    def choices(cls, pattern: str) -> Sequence[str]:
        """Return the names that fit a pattern such as "vit_tiny*", of those that a parameter with very many may have.

        `simssl show KIND NAME PATTERN` lists them. A plugin without such a parameter leaves this out.
        """
        return ()


class Dataset(_Plugin, ABC):
    """A data set: `load` reads it from a folder, or downloads it there."""

    @abstractmethod
    def load(self, root: Path, progress: Progress) -> Data:
        """Read the data below `root`, or download it there.

        If it cannot be had, raise FileNotFoundError with a message that says which file to put where.
        """

    @classmethod
    def example(cls, root: Path) -> None:
        """Write a few images below `root` in the set's real format, for tests. A set without files writes nothing."""
        return


# --- backbones -------------------------------------------------------------------------------------------


class Backbone(_Plugin, ABC):
    """An encoder network, and its mirror if it has one.

    Methods that decode need both: those of the class `AutoencoderObjective`, and each that calls `context.decoder`. So
    does the evaluator `decoder`. Without a mirror they say so before anything is trained.

    `shape` is a `Shape` for images, (V,) for a vector, and (L, vocabulary) for tokens, of which a row is int64 (L,).
    """

    input: ClassVar[Literal["image", "vector", "tokens"]] = "image"
    """What it takes: the images, or a modality of this kind, for which the section `modalities` names it."""

    @abstractmethod
    def encoder(self, shape: Any, outputs: int) -> nn.Module:
        """Return a new network from images (B, *shape) or vectors in [0, 1], or from tokens (B, L), to (B, outputs).

        Word 0 of tokens is none. A text may consist of it alone.
        """

    def decoder(self, shape: Any, inputs: int) -> nn.Module:
        """Return a new network from (B, inputs) to logits (B, *shape). A backbone may leave it out."""
        raise NotImplementedError

    @property
    def decodes(self) -> bool:
        """True if it has a decoder."""
        return type(self).decoder is not Backbone.decoder


# --- objectives ------------------------------------------------------------------------------------------


class Likelihood(Protocol):
    """The likelihood p(x | z), as a function of the decoder's logits."""

    def log_prob(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """Return log p(x | z) (B,) in nats, summed over channels and pixels."""

    def nll(self, x_BCHW: Tensor, logits_BCHW: Tensor) -> Tensor:
        """Return -log p(x | z) in nats an image, averaged over the images: a 0-d tensor."""

    def mean(self, logits_BCHW: Tensor) -> Tensor:
        """Return the expected images (B, C, H, W), in [0, 1]."""


@dataclass(frozen=True)
class ModalityContext:
    """A modality that an objective learns from, and the networks of its backbone."""

    kind: Literal["vector", "tokens"]
    shape: tuple[int, ...]
    """(V,) of a vector, (L, vocabulary) of tokens."""
    encoder: Callable[[int], nn.Module]
    """Returns a new encoder with this many outputs: from (B, V), or from tokens (B, L), to (B, outputs)."""
    decoder: Callable[[int], nn.Module]
    """Returns a new decoder with this many inputs, to logits (B, *shape). UserError if the backbone has none."""


@dataclass(frozen=True)
class Context:
    """The experiment, as far as an objective needs to know it."""

    image_shape: Shape
    latent_dim: int
    num_images: int
    images_per_step: int
    """Images in a step; 0 if the objective is not trained. `forward` is given them all, or on several processes its
    equal part of them (`simssl.blocks.distributed`)."""
    steps: int
    binary: bool
    """True if every pixel is 0 or 1 (`views.finish.threshold`), so that a Bernoulli likelihood is a likelihood."""
    encoder: Callable[[int], nn.Module]
    """Returns a new encoder of the experiment's backbone, with this many outputs."""
    decoder: Callable[[int], nn.Module]
    """Returns a new decoder of the experiment's backbone, with this many inputs. UserError if it has none."""
    modalities: Mapping[str, ModalityContext] = field(default_factory=dict)
    """The modalities that the objective declares, by name."""


@dataclass(frozen=True)
class Terms:
    """The terms of a step, 0-d tensors by name. Loss terms are summed and minimised; monitors are only recorded."""

    loss: Mapping[str, Tensor]
    monitor: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Posterior:
    """The posterior q(z | x): its mean (B, D), which is the representation, and its variance (B, D) if it has one."""

    mean: Tensor
    variance: Tensor | None = None


EncodeAll = Callable[[], Tensor]
"""A function that encodes every training image without augmentation, to representations (N, D)."""


class Objective(nn.Module, _Plugin, ABC):
    """A self-supervised method: a loss over the views of each image, and the representation that it learns.

    `forward` and `after_step` do not wait for the device: no `.item()`, no boolean-mask indexing, no Python branch on
    a tensor's value. So a training step can be captured into a CUDA graph. All randomness comes from the generator
    that is handed in.
    """

    trained: ClassVar[bool] = True
    """False for a method that is not trained by gradient. It may have a `fit`."""
    permutation_invariant: ClassVar[bool] = False
    """True for a method whose loss does not depend on the order of the images in a batch. What is drawn at random for
    an image moves along with it. `simssl.testing` then checks this."""
    capturable: ClassVar[bool] = True
    """False for a method whose step does something on the host that a replay of its device operations would not repeat.
    It is then trained step by step."""
    uses_groups: ClassVar[bool] = False
    """True for a method whose `forward` takes the keyword `group_B`, int64 (B,), None by default: images of one number
    are positives of one another. These are the groups of `positives.share`; without that section each image is one."""
    views: tuple[str, ...] = ()
    """The views of each image that a step needs: "random" (augmented) or "plain", and after them "small".

    Their number is J. Small views are random views of the size in `views.small`. A method whose views depend on its
    parameters overrides `views_for` instead.
    """
    modalities: tuple[str, ...] = ()
    """The modalities that it learns from beside the images, by name.

    `forward` is given the keyword `modalities_B` then: each modality's values (B, ...) of the B images, by name. A
    method whose modalities depend on its parameters overrides `modalities_for` instead.
    """
    joint_layer: str = "representation"
    """The layer of an image that is compared with what `encode_modality` returns."""
    likelihood: Likelihood | None
    """The likelihood p(x | z) of a method that decodes; else None. It may be a module, with weights of its own."""
    sigma2: float | None = None
    """The variance of p(z | y), if the method's model has one: that of the views' latents around their image's mean."""

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__()
        self.params = params
        self.context = context
        self.views = self.views_for(params)
        self.modalities = self.modalities_for(params)
        self.likelihood = getattr(type(self), "likelihood", None)  # of the class it would hide a module of that name

    @classmethod
    def views_for(cls, params: Any) -> tuple[str, ...]:
        """Return the views that a step needs with these parameters. It is called before the networks are built."""
        return cls.views

    @classmethod
    def modalities_for(cls, params: Any) -> tuple[str, ...]:
        """Return the modalities that it learns from with these parameters. It is called before anything is built."""
        return cls.modalities

    @abstractmethod
    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """Return the posterior of images in [0, 1]. Its mean is their representation."""

    def forward(self, x_BJCHW: Any, index_B: Tensor, generator: torch.Generator, *args: Any, **declared: Any) -> Terms:
        """Return the terms of the loss for J views of B images. `index_B` are the images' indices in `train`.

        The views are one tensor (B, J, C, H, W). A method with small views is given a tuple, small ones last.
        With `positives` the views of an image come from J images of its group, and `index_B` is the first one's. A
        method has the keywords of `modalities` and `uses_groups`, where it declares them, and no others.
        """
        raise NotImplementedError

    def fit(self, batches: Iterable[Tensor], generator: torch.Generator) -> None:
        """Fit a method that is not trained by gradient, in one pass over the training images.

        They come in batches (B, C, H, W), in [0, 1].
        """
        return

    def decode(self, z_BD: Tensor) -> Tensor:
        """Return logits (B, C, H, W), as `likelihood` takes them."""
        raise NotImplementedError

    def modality_posterior(self, name: str, values_B: Tensor) -> Posterior:
        """Return the posterior q(z | modality), from which `decode` makes images. A method may leave it out."""
        raise NotImplementedError

    def encode_modality(self, name: str, values_B: Tensor) -> Tensor:
        """Return the representation (B, P) of a modality's values, comparable with the images' `joint_layer`.

        It is the mean of `modality_posterior`, unless a method overrides it.
        """
        return self.modality_posterior(name, values_B).mean

    def layers(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        """Return other layers that evaluators may measure, such as the projection: name -> (B, features)."""
        return {}

    def after_step(self, progress: Tensor) -> None:
        """Update what is not trained by gradient, such as a teacher or a queue. It is called after each optimiser step.

        `progress` is a 0-d tensor on the device, in [0, 1].
        """
        return

    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> Tensor | None:
        """Prepare a pass over the training images. It is called before each of them.

        It may return sampling weights (N,). The images of the pass are then drawn by them, with replacement.

        A captured step is captured anew if an attribute, or a list or dict in one, then holds another tensor or number.
        A change within an object of another kind is not seen: write into its tensors in place.
        """
        return None

    def restarted_parameters(self) -> Iterable[nn.Parameter]:
        """Return the parameters that `before_epoch` has set back. Their optimiser state is then set to zero."""
        return ()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters for the optimiser, in groups that may have settings of their own.

        Those of the likelihood, if it has any, have no weight decay: it would move a variance towards 1.
        """
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not isinstance(self.likelihood, nn.Module):
            return [{"params": trainable}]
        of_likelihood = set(self.likelihood.parameters())
        others = [parameter for parameter in trainable if parameter not in of_likelihood]
        return [{"params": others}, {"params": list(self.likelihood.parameters()), "weight_decay": 0.0}]

    @property
    def decodes(self) -> bool:
        """True if the method has a decoder of its own."""
        has_decode = type(self).decode is not Objective.decode
        return has_decode and self.likelihood is not None

    @property
    def infers_modalities(self) -> bool:
        """True if it has posteriors of the modalities that it learns from."""
        has_posterior = type(self).modality_posterior is not Objective.modality_posterior
        return has_posterior and bool(self.modalities)

    @property
    def encodes_modalities(self) -> bool:
        """True if it represents the modalities that it learns from beside the images."""
        has_encode = type(self).encode_modality is not Objective.encode_modality
        return self.infers_modalities or (has_encode and bool(self.modalities))


class EncoderObjective(Objective):
    """A method whose representation is the output of one encoder, in float32."""

    encoder: nn.Module

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.encoder = context.encoder(context.latent_dim)

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """Return the encoder's output, without a variance."""
        return Posterior(at_least_float32(self.encoder(x_BCHW)))

    def encode_views(self, views: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Return the encoder's outputs (B, J, D) of all views that `forward` is given, small ones last."""
        sizes = (views,) if isinstance(views, Tensor) else views
        outputs = [self.encoder(x_BJCHW.flatten(0, 1)).unflatten(0, x_BJCHW.shape[:2]) for x_BJCHW in sizes]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=1)


class ProjectionObjective(EncoderObjective):
    """A method whose loss is of a projection: what a head makes of the encoder's output, in float32.

    It builds its `head`. Evaluators can ask for the projection as layer `projection`.
    """

    head: nn.Module

    def project(self, x_BCHW: Tensor) -> Tensor:
        """Return the projections (B, P) of images in [0, 1]."""
        return at_least_float32(self.head(self.encoder(x_BCHW)))

    def project_views(self, views: Tensor | tuple[Tensor, ...]) -> Tensor:
        """Return the projections (B, J, P) of all views that `forward` is given, small ones last.

        Views of one size pass the encoder as one batch, and all of them the head.
        """
        z_BJD = self.encode_views(views)
        z_MP = at_least_float32(self.head(z_BJD.flatten(0, 1)))
        return z_MP.unflatten(0, z_BJD.shape[:2])

    def layers(self, x_BCHW: Tensor) -> dict[str, Tensor]:
        """The projection."""
        return {"projection": self.project(x_BCHW)}


class AutoencoderObjective(Objective):
    """A method whose representation is q(z | x) of a Gaussian autoencoder, and which decodes by p(x | z).

    Its Params inherit `simssl.blocks.losses.LikelihoodParams` before `simssl.Params`.
    """

    likelihood: Likelihood
    model: GaussianAutoencoder

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.likelihood = likelihood(params.likelihood, params.sigma2_x, context.binary)
        self.model = GaussianAutoencoder(context.encoder, context.decoder, context.latent_dim)

    def terms(self, loss: Mapping[str, Tensor]) -> Terms:
        """Return the terms of a step: the loss, and as a monitor the likelihood's variance, where it is learned."""
        if isinstance(self.likelihood, LearnedGaussian):
            return Terms(loss, {"sigma2_x": self.likelihood.sigma2_x.detach()})
        return Terms(loss)

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
    """A number, its unit, and the better direction (None: neither)."""

    value: float
    unit: str
    better: Literal["higher", "lower"] | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """The details of how this number was made, beyond the protocol of the whole result. What differs from run to run
    stands under "selected", if it was chosen on the way, or "found", if it came out on the way."""
    held_out: float | None = None
    """The same number on the images held out of train, by which settings may be chosen; None if it was not measured
    there."""


@dataclass(frozen=True)
class Result:
    """The numbers and images of an evaluator.

    `metrics`: "<target>/<metric>" or "<metric>" -> Metric. `images`: name -> uint8 (C, H, W).
    `protocol`: the way in which the numbers were made, in plain JSON values. It travels with each of them.
    """

    metrics: Mapping[str, Metric]
    images: Mapping[str, Tensor] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    evaluator: str = ""
    """The evaluator's name (or its `as`) in the experiment. The core fills it in."""
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Metrics that could not be measured, while the rest could: name -> reason."""


class Skip(Exception):
    """Raised by an evaluator that, while it runs, turns out not to apply. The message is the reason."""


class Subject(Protocol):
    """A frozen model and the data, as evaluators see them. Splits: "train", "test", and "other" if one is named."""

    data: Data
    """The run's data; or those that the evaluator names by `dataset:`, brought to the shape of the run's images."""
    device: torch.device
    generator: torch.Generator
    """A generator on the device, seeded from the run's seed and the evaluator's name."""
    likelihood: Likelihood | None
    """p(x | z) of a method that decodes; None of all others."""
    sigma2: float | None
    """The objective's `sigma2`: the variance of an image's views around their mean in its model, if it has one."""
    shared: tuple[str, ...]
    """The targets that the views of an image share (`positives.share`), or "group"; () if they are of one image."""
    other: Split | None
    """The other data set that an evaluator with `takes_other_data` names by `dataset:`, in the shape of the run's
    images: its test split, or train if it has no other. None if it names none."""
    other_name: str
    """The name of that data set; empty if there is none. Metrics of its images are "<name>/<metric>"."""
    modalities: tuple[str, ...]
    """The modalities that the method learned from beside the images."""
    joint_layer: str
    """The objective's `joint_layer`: the layer of an image that is compared with `encode_modality`."""

    def features(self, split: str, layer: str = "representation") -> Tensor:
        """Return (N, D) of every un-augmented image of a split. It is computed once and cached beside the run.

        Skip if the method has no such layer.
        """

    def selection(self) -> tuple[Tensor, Tensor]:
        """Return the indices of the training images to fit on, and of those held out to select on.

        Held out are the official validation images, or else the last tenth of a fixed permutation of the training
        split, stratified by its first class target (`data.held_out` says which). Both come in that permutation's order.
        """

    def encode(self, x_BCHW: Tensor, layer: str = "representation") -> Tensor:
        """Return (B, D) of images in [0, 1], such as views. Skip if the method has no such layer."""

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        """Return the posterior of images in [0, 1]."""

    def decode(self, z_BD: Tensor) -> Tensor:
        """Return logits (B, C, H, W), if the method decodes: the evaluator `needs` it, or there is a likelihood."""

    def encode_modality(self, name: str, values_B: Tensor) -> Tensor:
        """Return (B, P) of a modality's values, in the space of the images' `joint_layer`.

        Only for an evaluator whose `needs` names "modality". Skip if the method did not learn from this one.
        """

    def modality_posterior(self, name: str, values_B: Tensor) -> Posterior:
        """Return the posterior of a modality's values. Only for an evaluator whose `needs` names "modality_posterior".

        Skip if the method did not learn from this one.
        """

    def images(self, split: str, index_B: Tensor | slice) -> Tensor:
        """Return un-augmented images of a split, (B, C, H, W) in [0, 1], finished as in training.

        For an index on the device the host does not wait, unless the split is too large for the device.
        """

    def draw_views(self, images_BCHW: Tensor, J: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return J random views of each uint8 image, (B, J, C, H, W), and the drawn parameters, each (B, J)."""

    def new_decoder(self) -> nn.Module:
        """Return an untrained decoder of the experiment's backbone, from the representation to logits.

        Its initial weights come from the generator. Skip if the backbone has no decoder; an evaluator whose `needs`
        name "new_decoder" is skipped before training then.
        """


@dataclass(frozen=True)
class Oracle:
    """A case whose right answer is known: a representation that has it, and noise that has none of it.

    Values are (least, most), each included, by the metric's name.
    """

    representation: Callable[[Tensor], Tensor]
    """Returns the representation (B, D) of images (B, C, H, W) in [0, 1], views or not."""
    values: Mapping[str, tuple[float, float]]
    """The metrics' values with the representation."""
    noise: Mapping[str, tuple[float, float]]
    """The metrics' values by chance, with a draw from N(0, I) as the representation of each image."""
    data: Data | None = None
    """The data; if None, 96 training and 48 test images of 1 x 8 x 8 pixels.

    Each has a bright square in one of four corners, which is the target `corner`.
    """
    decode: Callable[[Tensor], Tensor] | None = None
    """Returns the expected images in [0, 1] of representations (B, D). If None, the method has no decoder."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The evaluator's parameters, where they differ from the defaults."""
    variance: Callable[[Tensor], Tensor] | None = None
    """Returns the posterior's variance (B, D) of images (B, C, H, W) in [0, 1]. If None, it has none. That of noise is
    drawn at random, too."""
    other: Split | None = None
    """The other data set, of images of the same shape, for an evaluator that takes one."""
    modality: Callable[[Tensor], Tensor] | None = None
    """Returns the representation (B, D) of a caption's tokens. If None, the method learns from no modality.

    The data then have the tokens `caption`; the suite's data have "square" and the corner's name.
    """


NEEDS = frozenset(
    {
        "labels",
        "test",
        "decoder",
        "no_decoder",
        "new_decoder",
        "variance",
        "views",
        "views_or_groups",
        "modality",
        "modality_posterior",
    }
)
"""The things that an evaluator can need: labels of a class target; a test split; a method with a decoder of its own, or
one without; a backbone that has a decoder; a method whose posterior has a variance; views that are drawn at random, or
these or a run with positives; a method that represents a modality beside the images; one that has posteriors of a
modality."""


class Evaluator(_Plugin, ABC):
    """A measurement on the frozen model. If the run lacks something that it `needs`, it is recorded as skipped."""

    needs: frozenset[str] = frozenset()
    """What it cannot do without, of `NEEDS`. One that needs less with some parameters says so in `__init__`."""
    takes_other_data: ClassVar[bool] = False
    """True if the data set that `dataset: {name: ...}` names, beside its parameters, is a second one to it. The core
    loads it before anything is trained, and gives it as `Subject.other`. Any other evaluator measures that data set in
    place of the run's own: it is `Subject.data` then."""

    @abstractmethod
    def run(self, subject: Subject) -> Result:
        """Measure. Gradients are off unless the evaluator turns them on for parameters of its own."""

    def check(self, data: Data) -> None:
        """Raise ValueError if the parameters do not fit the data. It is called before anything is trained."""
        return

    @classmethod
    def oracle(cls) -> Oracle | None:
        """Return a representation that has the answer, with the right values of the metrics, and those by chance.

        `simssl.testing` tries both. For the effective rank of the test images' representations, say:

        ```python
        @classmethod
        def oracle(cls) -> Oracle:
            return Oracle(
                representation=lambda x_BCHW: torch.nn.functional.avg_pool2d(x_BCHW, 4).flatten(1),
                values={"rank": (2.9, 3.3)},
                noise={"rank": (3.5, 4.0)},
            )
        ```

        Each image has its bright square in one of four corners. The brightness of its quadrants, about the mean, lies
        in three dimensions. Noise lies in four.
        """
        return None


# --- trackers --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunInfo:
    """The facts that a tracker is told when a run starts, or goes on."""

    directory: Path
    experiment: str
    objective: str
    seed: int
    device: str
    start_step: int
    """Steps that were done before: 0 for a new run."""
    steps: int
    """The steps of its training: those of the budget, or those that were taken of one that has ended before."""
    views_per_step: int
    settings: Mapping[str, Any]
    """The experiment, with every default filled in."""


StepsDone = Callable[[], int]
"""A function that returns the number of training steps that are done so far."""


class Tracker(_Plugin):
    """A recorder of a run. If it raises an exception, the user is warned once, and it is called no more."""

    def started(self, run: RunInfo) -> None:
        """Prepare to record a run that starts, or goes on."""

    def follow(self, steps_done: StepsDone) -> None:
        """Begin to follow the training, in a thread of its own. A tracker without such a thread ignores it.

        It is called once, before the first step. `steps_done` may be called at any time, from any thread. It does not
        wait for the device.
        """

    def logged(self, step: int, terms: dict[str, float]) -> None:
        """Record the mean of each term since the last call, and their sum as "loss".

        There is one call for every `training.log_every` steps. It comes once the device has copied the numbers to the
        host, which does not wait for it: on a CPU at once, on CUDA some launches later. It comes at the latest when
        the next one is due, at a new epoch, before a checkpoint, at the end and before an error. `step` is the last
        step of the mean.
        """

    def measured(self, step: int, result: Result) -> None:
        """Record what an evaluator has found of the run in training, after this step (`measure`, `selection`).

        It is called before the first step, too: for step 0. After a kill the steps since the checkpoint come again.
        """

    def trained(self, step: int) -> None:
        """Take note that the training has ended, after this step: the last, or an earlier one (`selection`)."""

    def evaluated(self, result: Result, subject: Subject) -> None:
        """Record the result of an evaluator that has finished."""

    def ended(self, error: BaseException | None) -> None:
        """Finish the record of a run that is over. `error` is the exception that ended it early, if one did."""


def views_of(objective: type[Objective], params: Any) -> tuple[str, ...]:
    """Return the views of an objective with these parameters. Its networks need not exist yet.

    ContractError if there are none, or of another kind.
    """
    views = objective.views_for(params)
    name = f"{objective.__name__}.views"
    if isinstance(views, property):
        raise ContractError(f"{name} is a property; define the class method views_for(params) in its place")
    are_views = isinstance(views, tuple | list) and {"random", "plain", "small"}.issuperset(views)
    if not are_views or (objective.trained and not views):
        raise ContractError(f"{name} must be a tuple of 'random', 'plain' and 'small', not {views}")
    large = views[: len(views) - views.count("small")]
    if "small" in large or (objective.trained and not large):
        raise ContractError(
            f"{name} must begin with views that are not small, and the small ones must be last: {views}"
        )
    return tuple(views)


def modalities_of(objective: type[Objective], params: Any) -> tuple[str, ...]:
    """Return the modalities of an objective with these parameters. ContractError if they are no names."""
    modalities = objective.modalities_for(params)
    are_names = isinstance(modalities, tuple | list) and all(isinstance(name, str) for name in modalities)
    if not are_names:
        raise ContractError(f"{objective.__name__}.modalities must be a tuple of names, not {modalities!r}")
    return tuple(dict.fromkeys(modalities))


def undefined(plugin: type[Any]) -> list[str]:
    """Return the names of the methods that a plugin's class must still define."""
    missing = sorted(getattr(plugin, "__abstractmethods__", ()))
    if not (issubclass(plugin, Objective) and plugin.trained):
        return missing
    if plugin.forward is Objective.forward:
        missing.append("forward")
    inherited = inspect.getattr_static(Objective, "views_for")
    if plugin.views == () and inspect.getattr_static(plugin, "views_for") is inherited:
        missing.append("views")
    return missing
