"""A trained run to work with in Python: it encodes, decodes and samples, and needs no data for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from simssl.api import Posterior, Shape
from simssl.blocks.images.decoding import fitted, upright
from simssl.blocks.statistics.normal import sample_normal
from simssl.errors import UserError
from simssl.experiment.config import load_experiments
from simssl.experiment.model import Experiment
from simssl.plugin.registry import Registry
from simssl.store import checkpoint
from simssl.store.checkpoint import State
from simssl.store.environment import recalling, tell_of_changes
from simssl.store.folder import RunFolder
from simssl.training.build import Model, build_model, choose_device
from simssl.training.precision import in_float32
from simssl.training.train import trained_state

Images = Tensor | np.ndarray | Image.Image | Sequence[Image.Image]

ONLY_THE_MODEL = ("evaluators=[]", "trackers=[]")
"""Settings that leave out the plugins that a model does without."""
BATCH = 1000
"""Most representations that are decoded at once."""
ROUNDING = 1e-6
"""What floating-point images may leave [0, 1] by."""


def load_trained(run_dir: str | Path, device: str = "auto", registry: Registry | None = None) -> TrainedModel:
    """The model of a trained run, frozen; the run may have been moved, and its data need not be there.

    `device` is auto (CUDA where there is one), cpu or cuda; `registry` says which plugins may be used, all that are
    installed by default. Of the errors in `simssl.errors`, UserError says that there is no such run, that it is not
    trained to the end or that a plugin is missing, RunError that its checkpoint is damaged. Random states and settings
    of torch are left as they were.
    """
    folder = RunFolder.existing(Path(run_dir))
    registry = recalling(registry or Registry(), folder)
    (experiment,) = load_experiments(folder.experiment, registry, ONLY_THE_MODEL)
    tell_of_changes(folder, experiment.choices, registry)
    target = choose_device(device)
    state = trained_state(folder)
    if "image_shape" not in state:
        raise UserError(
            f"{folder.checkpoint} was made by an earlier version of simssl and does not say what images it takes; "
            "train the run anew, with `simssl run ... --fresh`"
        )
    channels, height, width = state["image_shape"]
    with _random_states_kept(target):
        model = build_model(experiment, registry, (channels, height, width), state["num_images"], target)
    with checkpoint.fitting(folder.checkpoint):
        model.objective.load_state_dict(state["objective"])
    return TrainedModel(model, state)


@contextmanager
def _random_states_kept(device: torch.device) -> Iterator[None]:
    states = checkpoint.random_states(device)
    try:
        yield
    finally:
        checkpoint.restore_random_states(states, device)


class TrainedModel:
    """A frozen model, from `simssl.load`. What it returns is float32 and lies on the CPU."""

    experiment: Experiment
    """What was trained: `experiment.name`, `experiment.objective.name`, `experiment.seed` and all other settings."""
    device: torch.device
    source_shape: Shape
    """Of the images that it was trained on (C, H, W), to which pictures are brought."""
    image_shape: Shape
    """Of the images that it works on and decodes (C, H, W): the same, but for `views.size`."""
    trained_on: str
    """The fingerprint of the data that it was trained on, as in metrics.json."""
    run: str
    """The name that simssl gave the run's folder."""

    def __init__(self, model: Model, state: State) -> None:
        self.experiment, self.device = model.experiment, model.device
        self._views, self._objective = model.views, model.objective.eval()
        channels, height, width = state["image_shape"]
        self.source_shape, self.image_shape = (channels, height, width), model.views.shape
        self.trained_on = state["data"]
        self.run = f"{self.experiment.objective.name}-seed{self.experiment.seed}-{state['digest'][:8]}"
        self._representations = state.get("representations")

    def encode(self, images: Images) -> Posterior:
        """q(z | x): `mean` (N, D), which is the representation, and `variance` (N, D), None if the method has none.

        The images are an array or a tensor (N, C, H, W), uint8 or floats in [0, 1], of the shape `source_shape` or
        `image_shape`; or PIL images, one or a list, of any size and mode, which are turned upright as their EXIF says
        and brought to `source_shape`: the largest centred box of its proportions, resized. All are finished as in
        training (`views.finish`). TypeError if they are something else, ValueError if shapes or values do not fit.
        """
        images_NCHW = self._checked(images)
        with torch.no_grad(), in_float32():
            batches = self._views.plain_batches(images_NCHW, self.device)
            return joined([_on_cpu(self._objective.posterior(x_BCHW)) for x_BCHW in batches])

    def decode(self, z: Tensor | np.ndarray) -> Tensor:
        """The expected images (N, *image_shape), in [0, 1], of representations (N, D), an array or a tensor.

        UserError if the method has no decoder, ValueError if the shape does not fit.
        """
        likelihood = self._objective.likelihood
        if not self._objective.decodes or likelihood is None:
            name = self.experiment.objective.name
            raise UserError(f"{name} has no decoder: it gives representations of images, and no images of them")
        z_ND = z if isinstance(z, Tensor) else torch.tensor(np.asarray(z))
        if z_ND.ndim != 2 or not len(z_ND) or z_ND.shape[1] != self.experiment.latent_dim:
            raise ValueError(
                f"representations have the shape (N, {self.experiment.latent_dim}), and these {tuple(z_ND.shape)}"
            )
        with torch.no_grad(), in_float32():
            batches = z_ND.split(BATCH)
            logits = (self._objective.decode(z_BD.to(self.device, torch.float32)) for z_BD in batches)
            return torch.cat([likelihood.mean(logits_BCHW).float().cpu() for logits_BCHW in logits])

    def sample(self, n: int, seed: int = 0) -> Tensor:
        """Expected images (n, *image_shape), in [0, 1], of z drawn from the Gaussian with the mean and the covariance
        of the training images' representations; the same seed draws the same z.

        Not from N(0, I), which is the prior in some of these methods, and of random views: whole images have
        representations about another mean. UserError if the method has no decoder, ValueError if
        n is less than 1.
        """
        if n < 1:
            raise ValueError(f"the number of samples is at least 1, not {n}")
        if self._representations is None:
            raise UserError(f"{self.experiment.objective.name} has no decoder, so there is nothing to sample")
        mean_D, covariance_DD = self._representations
        return self.decode(sample_normal(mean_D, covariance_DD, n, torch.Generator().manual_seed(seed)))

    def _checked(self, images: Any) -> Tensor:
        """The images as a tensor (N, C, H, W), uint8 or floats in [0, 1]."""
        pictures = [images] if isinstance(images, Image.Image) else images
        if isinstance(pictures, Sequence) and all(isinstance(picture, Image.Image) for picture in pictures):
            if not pictures:
                raise ValueError("there are no images to encode")
            return torch.from_numpy(np.stack([fitted(upright(image), self.source_shape) for image in pictures]))
        if not isinstance(images, (Tensor, np.ndarray)):
            kind = type(images).__name__
            raise TypeError(f"images are a tensor or an array (N, C, H, W), a PIL image or a list of them, not {kind}")
        x_NCHW = images if isinstance(images, Tensor) else torch.tensor(np.ascontiguousarray(images))
        self._check_shape(tuple(x_NCHW.shape))
        _check_values(x_NCHW)
        return x_NCHW

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        fitting = {self.source_shape, self.image_shape}
        if len(shape) != 4 or not shape[0] or shape[1:] not in fitting:
            wanted = " or ".join(f"(N, {', '.join(map(str, one))})" for one in sorted(fitting))
            raise ValueError(f"images have the shape {wanted}, and these {shape}; PIL images may be of any size")


def joined(posteriors: Sequence[Posterior]) -> Posterior:
    """Those of several batches as one."""
    mean_ND = torch.cat([posterior.mean for posterior in posteriors])
    variances = [posterior.variance for posterior in posteriors if posterior.variance is not None]
    return Posterior(mean_ND, torch.cat(variances) if variances else None)


def _on_cpu(posterior: Posterior) -> Posterior:
    variance = posterior.variance
    return Posterior(posterior.mean.float().cpu(), None if variance is None else variance.float().cpu())


def _check_values(x_NCHW: Tensor) -> None:
    if x_NCHW.dtype == torch.uint8:
        return
    if not x_NCHW.is_floating_point():
        raise ValueError(f"images are uint8, from 0 to 255, or floating-point numbers in [0, 1], not {x_NCHW.dtype}")
    low, high = (bound.item() for bound in x_NCHW.aminmax())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise ValueError(f"images of floating-point numbers lie in [0, 1], and these from {low:.4g} to {high:.4g}")
