"""Building: from an experiment and its data to the objects of a run. Nothing else builds them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from simssl.api import Context, Data, Objective, Progress, Shape
from simssl.blocks.distributed import world_size
from simssl.blocks.networks import synchronise_batch_norm
from simssl.errors import (
    STOPS,
    ContractError,
    RunError,
    SimsslError,
    UserError,
    code_of,
    line_of,
    location_of,
    one_line,
)
from simssl.experiment.model import Choice, Experiment
from simssl.plugin.registry import Registry
from simssl.training.budget import work_of
from simssl.training.contract import check_data
from simssl.training.machine.precision import prepare_numerics, require_repeatable
from simssl.training.networks import Form, backbone_of, building, modality_contexts, networks_of, require_named
from simssl.training.trial import try_out
from simssl.training.views import Views
from simssl.training.views.positives import Groups, groups_of, with_roles


def derive_seed(seed: int, *names: str) -> int:
    """Return the seed of one use of a run's seed, which `names` name. It is the same on every machine."""
    text = ":".join((str(seed), *names))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_everything(seed: int) -> None:
    """Seed the default generators. They initialise weights; everything else has generators of its own."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def load_data(choice: Choice, registry: Registry, root: Path, progress: Progress) -> Data:
    """Load the data set. UserError says what to put where if it cannot be had."""
    dataset_class = registry.load(choice.kind, choice.name)
    try:
        dataset = dataset_class(choice.params)
        data: Data = dataset.load(root, progress)
    except ContractError as error:
        location = location_of(error, code_of(dataset_class))
        raise UserError(f"dataset '{choice.name}': {error}{location}") from error
    except (FileNotFoundError, ValueError) as error:
        raise UserError(f"dataset '{choice.name}': {error}") from error
    except SimsslError:
        raise
    except STOPS:
        raise
    except BaseException as error:
        reason = one_line(error, code_of(dataset_class), line_of(dataset_class))
        raise RunError(f"dataset '{choice.name}' cannot be loaded: {reason}") from error
    check_data(dataset.load, data)
    return data


@dataclass
class Model:
    """An experiment's objects without its data: views, the objective on its device, and the size of the work."""

    experiment: Experiment
    device: torch.device
    views: Views
    objective: Objective
    images_per_step: int
    steps: int
    generator: torch.Generator
    """Draws the views, the order of the images and noise, on the device."""
    new_decoder: Callable[[], nn.Module]
    """Builds another decoder of the backbone, on the device. UserError if the backbone has none."""
    has_new_decoder: bool
    """True if the backbone has a decoder."""
    forms: Mapping[str, Form] = field(default_factory=dict, kw_only=True)
    """The kind and the shape of each modality that the objective learns from."""

    @property
    def views_per_step(self) -> int:
        """Views in a step; 0 for an objective that is not trained."""
        if not self.steps:
            return 0
        return self.images_per_step * len(self.objective.views)


@dataclass
class BuiltRun(Model):
    """An experiment's objects and its data."""

    data: Data
    groups: Groups | None = None
    """The groups that the views of an image come from; None if they are all of one image."""

    @property
    def images_each(self) -> int:
        """The images that the views of one come from: itself alone, or J of its group."""
        return 1 if self.groups is None else len(self.objective.views)


def build_run(experiment: Experiment, registry: Registry, data: Data, device: torch.device) -> BuiltRun:
    """Build everything for a run. UserError if the parts do not fit together."""
    require_repeatable(experiment, device)
    prepare_numerics(experiment)
    num_images, channels, height, width = data.train.images.shape
    image_shape = (channels, height, width)
    forms = {name: Form.of(modality) for name, modality in data.train.modalities.items()}
    model = build_model(experiment, registry, image_shape, num_images, device, forms)
    require_named(experiment, forms)
    if experiment.positives is None:
        return BuiltRun(**vars(model), data=data)
    share = experiment.positives.share
    groups = Groups(groups_of(data.train, share), device)
    return BuiltRun(**vars(model), data=with_roles(data, share), groups=groups)


def build_model(
    experiment: Experiment,
    registry: Registry,
    image_shape: Shape,
    num_images: int,
    device: torch.device,
    forms: Mapping[str, Form] = MappingProxyType({}),
) -> Model:
    """Build everything but the data. Of it, the shape and the number of the training images are enough.

    An objective that learns from modalities needs their forms, too.
    """
    seed_everything(derive_seed(experiment.seed, "weights"))
    views = Views(experiment.views, image_shape)
    shape = views.shape
    backbone = backbone_of(experiment.backbone, registry)
    encoder, decoder = networks_of(backbone, experiment.backbone, registry, shape, experiment.objective.name)
    objective_class = registry.load("objective", experiment.objective.name)
    images_per_step, steps = work_of(experiment, objective_class, num_images)
    context = Context(
        image_shape=shape,
        latent_dim=experiment.latent_dim,
        num_images=num_images,
        images_per_step=images_per_step,
        steps=steps,
        binary=experiment.views.finish.threshold is not None,
        encoder=encoder,
        decoder=decoder,
        modalities=modality_contexts(experiment, registry, objective_class, forms),
    )
    with building(experiment.objective, registry):
        objective = objective_class(experiment.objective.params, context)
        if objective.trained:
            try_out(objective, views, experiment.backbone.name)
            if world_size() > 1:
                synchronise_batch_norm(objective)
        objective = objective.to(device)
    if experiment.training.channels_last:
        objective = objective.to(memory_format=torch.channels_last)
    generator = torch.Generator(device).manual_seed(derive_seed(experiment.seed, "training"))

    def new_decoder() -> nn.Module:
        return decoder(experiment.latent_dim).to(device)

    return Model(
        experiment=experiment,
        device=device,
        views=views,
        objective=objective,
        images_per_step=images_per_step,
        steps=steps,
        generator=generator,
        new_decoder=new_decoder,
        has_new_decoder=backbone.decodes,
        forms={name: forms[name] for name in objective.modalities},
    )
