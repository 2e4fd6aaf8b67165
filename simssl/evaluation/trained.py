"""A trained run to work with in Python. It encodes, decodes and samples, and needs no data for it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simssl.api import Posterior, Shape
from simssl.blocks.statistics import sample_normal
from simssl.errors import UserError
from simssl.evaluation.pictures import PICTURES, Images, are_pictures, check_values, fitted
from simssl.evaluation.posteriors import joined, on_cpu, require_finite
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.environment import recalling, tell_of_changes
from simssl.store.folder import RunFolder
from simssl.training.build import Model, build_model
from simssl.training.machine.device import choose_device, computing_on
from simssl.training.machine.precision import in_float32
from simssl.training.machine.spinning import considerate_threads
from simssl.training.networks import Form
from simssl.training.train import trained_state

ONLY_THE_MODEL = ("evaluators=[]", "trackers=[]", "measure=null", "selection=null")
"""Settings that leave out the plugins that a model does without."""
BATCH = 1000
"""Most representations that are decoded at once."""


def load_trained(
    run_dir: str | Path,
    device: str = "auto",
    registry: Registry | None = None,
    plugins: Sequence[str | Path] = (),
) -> TrainedModel:
    """Return the model of a trained run, frozen. The run may have been moved, and its data need not be there.

    `device` is auto, cpu, cuda or cuda:N. auto is cuda if there is a device, and cuda is the current one. `registry`
    holds the plugins that may be used; the default is all that are installed. `plugins` are files of one plugin each,
    which may be used, too, as with --plugin. Random states, the current device and settings of torch are left as they
    were.

    The errors are those of `simssl.errors`. UserError says that there is no such run, that it is not trained to the
    end, or that a plugin is missing. RunError says that its checkpoint is damaged, or that its weights are not finite.
    """
    folder = RunFolder.existing(Path(os.path.expanduser(run_dir)))
    registry = registry or Registry()
    if plugins:
        files = [Path(os.path.expanduser(file)) for file in plugins]
        registry = Registry(registry.builtins_only, (*registry.files, *files))
    registry = recalling(registry, folder)
    (experiment,) = load_experiments(folder.experiment, registry, ONLY_THE_MODEL)
    tell_of_changes(folder, experiment.choices, registry)
    target = choose_device(device)
    if target.type == "cuda" and target.index is None:  # where it stays, whichever is the current one later
        target = torch.device("cuda", torch.cuda.current_device())
    state = trained_state(folder)
    if "image_shape" not in state:
        raise UserError(
            f"{folder.checkpoint} was made by an earlier version of simssl and does not say what images it takes; "
            "train the run anew, with `simssl run ... --fresh`"
        )
    with _random_states_kept(target), computing_on(target):
        shape = _source_shape(state)
        model = build_model(experiment, registry, shape, state["num_images"], target, _forms(state))
    with checkpoint.fitting(folder.checkpoint):
        checkpoint.require_finite(state, folder.checkpoint)
        model.objective.load_state_dict(state["objective"])
        _check_moments(state, experiment.latent_dim)
    return TrainedModel(model, state)


def _source_shape(state: State) -> Shape:
    """The shape (C, H, W) of the images that a checkpoint's model was trained on."""
    channels, height, width = state["image_shape"]
    return channels, height, width


def _forms(state: State) -> dict[str, Form]:
    """The kinds and shapes of the modalities that a checkpoint's model learned from."""
    saved = state.get("modalities", {})
    return {name: Form(kind, tuple(shape)) for name, (kind, shape) in saved.items()}


def _check_moments(state: State, latent_dim: int) -> None:
    """ValueError if the representations' mean and covariance are of other dimensions than the representations."""
    if "representations" not in state:
        return
    mean_D, _ = state["representations"]
    if len(mean_D) != latent_dim:
        raise ValueError(f"its representations have {len(mean_D)} dimensions, and not {latent_dim}")


@contextmanager
def _random_states_kept(device: torch.device) -> Iterator[None]:
    states = checkpoint.random_states(device)
    on_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        checkpoint.restore_random_states(states, device)
        if on_cuda:
            torch.cuda.set_rng_state_all(on_cuda)


class TrainedModel:
    """A frozen model, from `simssl.load`. All that it returns is float32 and lies on the CPU."""

    experiment: Experiment
    """The experiment that it was trained in: `experiment.name`, `experiment.objective.name`, `experiment.seed` and all
    other settings."""
    device: torch.device
    source_shape: Shape
    """The shape (C, H, W) of the images that it was trained on. Pictures are brought to it."""
    image_shape: Shape
    """The shape (C, H, W) of the images that it works on and decodes: the same, unless `views.size` says otherwise."""
    trained_on: str
    """The fingerprint of the data that it was trained on, as in metrics.json."""
    run: str
    """The name that simssl gave the run's folder."""

    def __init__(self, model: Model, state: State) -> None:
        self.experiment = model.experiment
        self.device = model.device
        self._views = model.views
        self._objective = model.objective.eval()
        self.source_shape = _source_shape(state)
        self.image_shape = model.views.shape
        self.trained_on = state["data"]
        method = self.experiment.objective.name
        digest = state["digest"][:8]
        self.run = f"{method}-seed{self.experiment.seed}-{digest}"
        self._representations = state.get("representations")

    def __repr__(self) -> str:
        experiment = self.experiment
        method = experiment.objective.name
        data = experiment.dataset.name
        C, H, W = self.source_shape
        told = f"{method} on {data}, images ({C}, {H}, {W}), {experiment.latent_dim} latent dimensions"
        return f"<{type(self).__name__}: {told}, seed {experiment.seed}, {self.device}>"

    def encode(self, images: Images) -> Posterior:
        """q(z | x): `mean` (N, D), which is the representation, and `variance` (N, D), None if the method has none.

        The images are an array or a tensor (N, C, H, W), uint8 or floats in [0, 1], of the shape `source_shape` or
        `image_shape`. Or they are PIL images or paths of image files, one or a list, of any size and mode. These are
        put upright as their EXIF says and brought to `source_shape`: the largest centred box of its proportions is
        resized. All images are finished as in training (`views.finish`). TypeError if they are something else,
        ValueError if shapes or values do not fit, or a file is no image, FileNotFoundError if it is not there,
        RunError if a representation is not finite.
        """
        images_NCHW = self._checked(images)
        posteriors = []
        with torch.no_grad(), in_float32(), computing_on(self.device), considerate_threads(self.device):
            for x_BCHW in self._views.plain_batches(images_NCHW, self.device):
                posterior = self._objective.posterior(x_BCHW)
                posteriors.append(on_cpu(posterior))
        posterior = joined(posteriors)
        require_finite(posterior.mean, "representation", self.run)
        if posterior.variance is not None:
            require_finite(posterior.variance, "variance", self.run)
        return posterior

    def decode(self, z: Tensor | np.ndarray) -> Tensor:
        """The expected images (N, *image_shape), in [0, 1], of representations (N, D), an array or a tensor.

        UserError if the method has no decoder, ValueError if the shape does not fit or a number is not finite. RunError
        if an image is not finite.
        """
        name = self.experiment.objective.name
        latent_dim = self.experiment.latent_dim
        likelihood = self._objective.likelihood
        if not self._objective.decodes or likelihood is None:
            raise UserError(f"{name} has no decoder: it gives representations of images, and no images of them")
        z_ND = z if isinstance(z, Tensor) else torch.tensor(np.asarray(z))
        if z_ND.ndim != 2 or not len(z_ND) or z_ND.shape[1] != latent_dim:
            raise ValueError(f"representations have the shape (N, {latent_dim}), and these {tuple(z_ND.shape)}")
        if not bool(z_ND.isfinite().all()):
            raise ValueError("representations are finite numbers, and these are not")
        means = []
        with torch.no_grad(), in_float32(), computing_on(self.device), considerate_threads(self.device):
            for z_BD in z_ND.split(BATCH):
                logits_BCHW = self._objective.decode(z_BD.to(self.device, torch.float32))
                mean_BCHW = likelihood.mean(logits_BCHW)
                means.append(mean_BCHW.float().cpu())
        mean_NCHW = torch.cat(means)
        require_finite(mean_NCHW, "decoded image", self.run)
        return mean_NCHW

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Expected images (n, *image_shape), in [0, 1], of z that are drawn at random. The same seed draws the same z.

        The z are drawn from the Gaussian with the mean and the covariance of the training images' representations. They
        are not drawn from N(0, I): that is the prior in some of these methods, and there it is the prior of random
        views. The representations of whole images have another mean. UserError if the method has no decoder, ValueError
        if n is less than 1.
        """
        if n < 1:
            raise ValueError(f"the number of samples is at least 1, not {n}")
        if self._representations is None:
            raise UserError(f"{self.experiment.objective.name} has no decoder, so there is nothing to sample")
        mean_D, covariance_DD = self._representations
        generator = torch.Generator().manual_seed(seed)
        z_ND = sample_normal(mean_D, covariance_DD, n, generator)
        return self.decode(z_ND)

    def _checked(self, images: Any) -> Tensor:
        """The images as a tensor (N, C, H, W), uint8 or floats in [0, 1]."""
        pictures = [images] if isinstance(images, PICTURES) else images
        if are_pictures(pictures):
            if not pictures:
                raise ValueError("there are no images to encode")
            arrays = [fitted(picture, self.source_shape) for picture in pictures]
            return torch.from_numpy(np.stack(arrays))
        if not isinstance(images, (Tensor, np.ndarray)):
            kind = type(images).__name__
            raise TypeError(
                f"images are a tensor or an array (N, C, H, W), PIL images or paths, one or a list, not {kind}"
            )
        if isinstance(images, Tensor):
            x_NCHW = images
        else:
            contiguous = np.ascontiguousarray(images)
            x_NCHW = torch.tensor(contiguous)
        self._check_shape(tuple(x_NCHW.shape))
        check_values(x_NCHW)
        return x_NCHW

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        fitting = {self.source_shape, self.image_shape}
        if len(shape) != 4 or not shape[0] or shape[1:] not in fitting:
            shapes = [f"(N, {C}, {H}, {W})" for C, H, W in sorted(fitting)]
            wanted = " or ".join(shapes)
            raise ValueError(f"images have the shape {wanted}, and these {shape}; PIL images may be of any size")
