"""The frozen model and the data, as evaluators see them. Features are computed once and cached.

M counts views: B images, J views each.
"""

from __future__ import annotations

import logging
from functools import cached_property

import torch
from torch import Tensor, nn

from simssl.api import Likelihood, Posterior, Skip, Split
from simssl.blocks.probes import selection_split
from simssl.evaluation.feature_cache import load_features, save_features, weights_digest
from simssl.evaluation.features import place_of, split_of
from simssl.evaluation.other_data import Other, shared_in
from simssl.evaluation.posteriors import require_finite
from simssl.store.folder import RunFolder
from simssl.training.build import BuiltRun, derive_seed
from simssl.training.contract import check_encoded, check_layers, check_logits, check_posterior
from simssl.training.machine.pool import fits

logger = logging.getLogger("simssl")


class FrozenSubject:
    """The `Subject` of an evaluator (see `simssl.api`). Its generator is its own, the rest is the run's.

    The data are those of `built`. With `elsewhere` they are another set than the run's, and their features lie apart.
    """

    def __init__(
        self,
        built: BuiltRun,
        folder: RunFolder,
        evaluator: str,
        other: Other | None = None,
        elsewhere: bool = False,
    ) -> None:
        self._built = built
        self._folder = folder
        self._features = folder.features / built.data.fingerprint if elsewhere else folder.features
        self._objective = built.objective.eval()
        self.data = built.data
        self.other = other.split if other else None
        self.other_name = other.name if other else ""
        self.device = built.device
        self.likelihood: Likelihood | None = built.objective.likelihood if built.objective.decodes else None
        self.sigma2 = built.objective.sigma2
        self.modalities = tuple(built.objective.modalities)
        self.joint_layer = built.objective.joint_layer
        self.shared = shared_in(built)
        seed = derive_seed(built.experiment.seed, "evaluator", evaluator)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self._nearest: dict[str, Tensor] = {}

    def features(self, split: str, layer: str = "representation") -> Tensor:
        if split == "other":
            return self._encode(split, layer).to(self.device)
        file, made_of = place_of(self._built, self._features, layer, split, self._weights)
        features_ND = load_features(file, made_of)
        if features_ND is None:
            if file.exists():
                logger.warning(f"{file} is damaged, or an older simssl made it; the features are computed anew")
            features_ND = self._encode(split, layer)
            save_features(self._folder, file, features_ND, made_of)
        return features_ND.to(self.device)

    def _split(self, name: str) -> Split:
        if name != "other":
            return split_of(self.data, name)
        assert self.other is not None, "the evaluator names no other data set"
        return self.other

    @cached_property
    def _weights(self) -> str:
        """The digest of the weights, which tells cached features of other weights."""
        return weights_digest(self._objective)

    @torch.no_grad()
    def _encode(self, split: str, layer: str) -> Tensor:
        images_NCHW = self._split(split).images
        representations = []
        for x_BCHW in self._built.views.plain_batches(images_NCHW, self.device):
            z_BD = self.encode(x_BCHW, layer)
            representations.append(z_BD.float().cpu())
        z_ND = torch.cat(representations)
        among = f"the {len(z_ND):,} {split} images"
        require_finite(z_ND, layer, str(self._folder.path), among)
        return z_ND

    @torch.no_grad()
    def encode(self, x_BCHW: Tensor, layer: str = "representation") -> Tensor:
        if layer == "representation":
            return self.posterior(x_BCHW).mean
        name = self._built.experiment.objective.name
        layers = self._objective.layers(x_BCHW)
        check_layers(self._objective, layers, len(x_BCHW))
        if layer not in layers:
            has = ", ".join(["representation", *layers])
            raise Skip(f"{name} has no layer '{layer}'; it has {has}")
        return layers[layer]

    def selection(self) -> tuple[Tensor, Tensor]:
        fit_N, held_out_N = selection_split(self.data)
        return fit_N.to(self.device), held_out_N.to(self.device)

    @torch.no_grad()
    def posterior(self, x_BCHW: Tensor) -> Posterior:
        posterior = self._objective.posterior(x_BCHW)
        check_posterior(self._objective, posterior, len(x_BCHW))
        return posterior

    @torch.no_grad()
    def decode(self, z_BD: Tensor) -> Tensor:
        logits_BCHW = self._objective.decode(z_BD)
        expected = (len(z_BD), *self._built.views.shape)
        check_logits(self._objective, logits_BCHW, expected)
        return logits_BCHW

    @torch.no_grad()
    def encode_modality(self, name: str, values_B: Tensor) -> Tensor:
        self._require_modality(name)
        z_BP = self._objective.encode_modality(name, values_B.to(self.device))
        check_encoded(self._objective, z_BP, len(values_B))
        self._require_finite(z_BP, name)
        return z_BP

    @torch.no_grad()
    def modality_posterior(self, name: str, values_B: Tensor) -> Posterior:
        self._require_modality(name)
        posterior = self._objective.modality_posterior(name, values_B.to(self.device))
        check_posterior(self._objective, posterior, len(values_B), self._objective.modality_posterior)
        self._require_finite(posterior.mean, name)
        return posterior

    def _require_finite(self, z_BD: Tensor, name: str) -> None:
        require_finite(z_BD, f"{name}'s representation", str(self._folder.path), f"{len(z_BD):,} values of {name}")

    def _require_modality(self, name: str) -> None:
        if name not in self.modalities:
            method = self._built.experiment.objective.name
            raise Skip(
                f"{method} did not learn from the modality '{name}'; it learned from {', '.join(self.modalities)}"
            )

    def images(self, split: str, index_B: Tensor | slice) -> Tensor:
        images_NCHW = self._split(split).images
        if isinstance(index_B, Tensor):
            if index_B.is_cuda:
                images_NCHW = self._near(split)
            index_B = index_B.to(images_NCHW.device)
        images_BCHW = images_NCHW[index_B]
        return self._built.views.plain(images_BCHW.to(self.device))

    def _near(self, split: str) -> Tensor:
        """The images of a split, on the device if they fit there: then the host does not wait for an index there."""
        if split not in self._nearest:
            images_NCHW = self._split(split).images
            self._nearest[split] = images_NCHW.to(self.device) if fits(images_NCHW, self.device) else images_NCHW
        return self._nearest[split]

    def release(self) -> None:
        """Let go of the images on the device. A tracker may keep the subject for longer than it is measured."""
        self._nearest.clear()

    def draw_views(self, images_BCHW: Tensor, J: int) -> tuple[Tensor, dict[str, Tensor]]:
        views = self._built.views
        B = len(images_BCHW)
        x_BJCHW, draws = views.random_views(images_BCHW.to(self.device), J, self.generator)
        style = {}
        for name, values_M in views.style(draws).items():
            style[name] = values_M.view(B, J)
        return x_BJCHW, style

    def new_decoder(self) -> nn.Module:
        if not self._built.has_new_decoder:
            raise Skip(f"the backbone '{self._built.experiment.backbone.name}' has no decoder")
        drawn = torch.randint(2**62, (), generator=self.generator, device=self.device)
        seed = int(drawn)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self._built.new_decoder()
