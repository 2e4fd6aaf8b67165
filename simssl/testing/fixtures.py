"""Small data, small networks and a small run, to test plugins on. N counts images, B those of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from simssl.api import (
    Backbone,
    Context,
    Data,
    Dataset,
    EncoderObjective,
    Likelihood,
    ModalityContext,
    Objective,
    Posterior,
    Progress,
    Shape,
    Split,
    Target,
    Terms,
    modalities_of,
    views_of,
)
from simssl.blocks.losses import Gaussian
from simssl.blocks.networks import GaussianAutoencoder
from simssl.errors import UserError
from simssl.experiment.model import Choice, Experiment
from simssl.experiment.settings import Crop, Finish, Positives, SmallViews, Training, ViewSettings
from simssl.params import Params
from simssl.testing.modalities import CORNERS, TINY_BACKBONES, TINY_MODALITIES, tiny_modalities
from simssl.training.build import BuiltRun, build_run
from simssl.training.networks import Form
from simssl.training.views import BySize

SHAPE: Shape = (1, 8, 8)
LATENT_DIM = 4


class TinyDataset(Dataset):
    """Bright squares in one of four corners: 96 training and 48 test images of 1 x 8 x 8; target `corner`.

    Their modalities are `caption`, tokens, and `attributes`, a vector.
    """

    def load(self, root: Path, progress: Progress) -> Data:
        return Data.of(self._split(96, 0), self._split(48, 1))

    def _split(self, images: int, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        corner_N = torch.arange(images) % 4
        pixels_N188 = torch.randint(0, 60, (images, *SHAPE), generator=generator, dtype=torch.uint8)
        for i, corner in enumerate(corner_N.tolist()):
            top = 4 * (corner // 2)
            left = 4 * (corner % 2)
            pixels_N188[i, 0, top : top + 4, left : left + 4] += 180
        target = Target(corner_N, CORNERS, "content")
        return Split(pixels_N188, {"corner": target}, modalities=tiny_modalities(corner_N))


class TinyBackbone(Backbone):
    """One hidden layer of 16 units each way. The encoder takes images of any size."""

    def encoder(self, shape: Shape, outputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Sequential(nn.AdaptiveAvgPool2d(shape[1:]), nn.Flatten()),
            nn.Linear(math.prod(shape), 16),
            nn.ReLU(),
            nn.Linear(16, outputs),
        )

    def decoder(self, shape: Shape, inputs: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(inputs, 16),
            nn.ReLU(),
            nn.Linear(16, math.prod(shape)),
            nn.Unflatten(1, shape),
        )


class TinyObjective(Objective):
    """A variational autoencoder: it has all that an evaluator can need."""

    views = ("random",)

    def __init__(self, params: Any, context: Context) -> None:
        super().__init__(params, context)
        self.likelihood: Likelihood = Gaussian(0.1)
        self.model = GaussianAutoencoder(context.encoder, context.decoder, context.latent_dim)

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        sample = self.model.sample(x_BJCHW[:, 0], self.likelihood.nll, generator)
        return Terms({"reconstruction": sample.reconstruction, "kl": sample.kl})

    def posterior(self, x_BCHW: Tensor) -> Posterior:
        mean, log_variance = self.model.infer(x_BCHW)
        return Posterior(mean, log_variance.exp())

    def decode(self, z_BD: Tensor) -> Tensor:
        return self.model.decode(z_BD)


class TinyEncoder(EncoderObjective):
    """An untrained encoder: no decoder, and no variance."""

    trained = False


class StubRegistry:
    """Stands in for the registry with classes that no distribution provides."""

    def __init__(self, **plugins: type[Any]) -> None:
        self._plugins: dict[str, type[Any]] = {
            "dataset": TinyDataset,
            "backbone": TinyBackbone,
            "objective": TinyObjective,
            **TINY_BACKBONES,
            **plugins,
        }

    def load(self, kind: str, name: str) -> type[Any]:
        return self._plugins.get(name, self._plugins[kind])


def default_params(plugin: type[Any], **given: Any) -> Params:
    """The plugin's parameters: what is given, else the default, else the first of the field's `examples`."""
    examples: dict[str, Any] = {}
    without = []
    for name, field in plugin.Params.model_fields.items():
        if name in given or not field.is_required():
            continue
        if field.examples:
            examples[name] = field.examples[0]
        else:
            without.append(name)
    assert not without, f"give {', '.join(without)} a default, or Field(examples=[...]) to test with"
    params: Params = plugin.Params(**examples, **given)
    return params


def tiny_data() -> Data:
    """The small data set, loaded."""
    return TinyDataset(Params()).load(Path(), lambda label, done, total: None)


def tiny_context() -> Context:
    """The small experiment as an objective is told of it: small networks, images of 0 and 1 alone, four latents."""
    backbone = TinyBackbone(Params())
    return Context(
        image_shape=SHAPE,
        latent_dim=LATENT_DIM,
        num_images=96,
        images_per_step=6,
        steps=10,
        binary=True,
        encoder=lambda outputs: backbone.encoder(SHAPE, outputs),
        decoder=lambda inputs: backbone.decoder(SHAPE, inputs),
        modalities=tiny_modality_contexts(),
    )


def tiny_modality_contexts() -> dict[str, ModalityContext]:
    """The modalities of the small data as an objective is told of them."""
    contexts = {}
    for name, modality in tiny_data().train.modalities.items():
        form = Form.of(modality)
        choice = TINY_MODALITIES[name]
        backbone = TINY_BACKBONES[choice.name](choice.params)
        encoder = partial(backbone.encoder, form.shape)
        decoder = partial(backbone.decoder, form.shape)
        contexts[name] = ModalityContext(form.kind, form.shape, encoder, decoder)
    return contexts


BINARY_VIEWS = ViewSettings(
    crop=Crop(scale=(0.4, 1.0)),
    horizontal_flip=0.5,
    finish=Finish(threshold=0.5),
)


def tiny_experiment(
    objective: type[Objective] = TinyObjective,
    steps: int = 10,
    seed: int = 0,
    images: int = 6,
    views: ViewSettings = BINARY_VIEWS,
    latent_dim: int = LATENT_DIM,
    positives: Positives | None = None,
) -> Experiment:
    """An experiment on small data whose images are 0 and 1 alone; a step takes six images."""
    params = default_params(objective)
    epochs = math.ceil(steps * images / 96)
    kinds = views_of(objective, params)
    if "small" in kinds:
        views = ViewSettings(**dict(views) | {"small": SmallViews(size=SHAPE[-1] // 2)})
    batch_views = images * max(1, len(kinds))
    training = Training(epochs=epochs, batch_views=batch_views, log_every=5)
    return Experiment(
        name="tiny",
        dataset=Choice("dataset", "tiny", Params()),
        views=views,
        backbone=Choice("backbone", "tiny", Params()),
        latent_dim=latent_dim,
        objective=Choice("objective", "tiny", params),
        training=training,
        evaluators=(),
        trackers=(),
        seed=seed,
        written={"objective": objective.__qualname__, "seed": seed},
        positives=positives,
        modalities=TINY_MODALITIES if modalities_of(objective, params) else {},
    )


def tiny_run(
    objective: type[Objective] = TinyObjective,
    steps: int = 10,
    seed: int = 0,
    data: Data | None = None,
    device: str = "cpu",
    **changes: Any,
) -> BuiltRun:
    """The small experiment, built. `changes` are those that `tiny_experiment` takes."""
    experiment = tiny_experiment(objective, steps, seed, **changes)
    registry = StubRegistry(objective=objective)
    data = data or tiny_data()
    return build_run(experiment, registry, data, torch.device(device))  # type: ignore[arg-type]


def batches(built: BuiltRun, images: int = 6) -> Iterator[tuple[Tensor | BySize, Tensor]]:
    """Views (B, J, C, H, W), of each size, and indices (B,) of training batches, without end."""
    images_NCHW = built.data.train.images
    N = len(images_NCHW)
    while True:
        order_N = torch.randperm(N, generator=built.generator)
        index_B = order_N[:images]
        images_BCHW = images_NCHW[index_B]
        x_BJCHW = built.views.batch(images_BCHW, built.objective.views, built.generator)
        yield x_BJCHW, index_B


def load_example(dataset: type[Dataset], root: Path) -> Data:
    """The data set of the few images that its class writes below `root`. UserError if that is not enough."""
    dataset.example(root)
    try:
        return dataset(default_params(dataset)).load(root, lambda label, done, total: None)
    except FileNotFoundError as error:
        raise UserError(f"{dataset.__name__}.example does not write what load reads: {error}") from error
