"""The terms that losses and lower bounds are made of, each a function of tensors.

Contrastive losses compare views with each other, the Gaussian terms and the likelihoods make evidence lower bounds, and
the penalties on second moments, clusters of equal size and the distance from a Gaussian keep a representation from
collapsing.
"""

from __future__ import annotations

from simssl.blocks.losses.clusters import sinkhorn, swapped_cross_entropy
from simssl.blocks.losses.contrast import (
    Similarity,
    contrast_with_negatives,
    info_nce,
    nt_xent,
    similarities,
    spectral_contrast,
    sup_con,
)
from simssl.blocks.losses.gaussian import (
    expected_log_shared_mean,
    gaussian_entropy,
    kl_between,
    kl_standard,
    log_normal,
    log_shared_mean,
    negative_entropy,
    reparameterize,
    shared_mean_nll,
)
from simssl.blocks.losses.likelihoods import (
    Bernoulli,
    Categorical,
    Gaussian,
    LearnedGaussian,
    LikelihoodName,
    LikelihoodParams,
    likelihood,
    modality_likelihood,
)
from simssl.blocks.losses.normality import epps_pulley, random_directions, sigreg
from simssl.blocks.losses.redundancy import covariance_penalty, cross_correlation, variance_hinge

__all__ = [  # noqa: RUF022 - in groups
    # contrastive losses
    "nt_xent",
    "sup_con",
    "info_nce",
    "contrast_with_negatives",
    "spectral_contrast",
    "similarities",
    "Similarity",
    # Gaussians with diagonal covariance
    "log_normal",
    "gaussian_entropy",
    "negative_entropy",
    "kl_standard",
    "kl_between",
    "reparameterize",
    "log_shared_mean",
    "shared_mean_nll",
    "expected_log_shared_mean",
    # likelihoods p(x | z)
    "likelihood",
    "LikelihoodParams",
    "LikelihoodName",
    "Gaussian",
    "LearnedGaussian",
    "Bernoulli",
    "modality_likelihood",
    "Categorical",
    # second moments, and penalties on them
    "variance_hinge",
    "covariance_penalty",
    "cross_correlation",
    # clusters of equal size
    "sinkhorn",
    "swapped_cross_entropy",
    # distance from a Gaussian
    "sigreg",
    "epps_pulley",
    "random_directions",
]
