"""Statistics of representations and of images: how they lie, their clusters, and how far two sets are apart.

Functions of plain tensors, with rows (N, D) for representations; none of them trains a network.
"""

from simssl.blocks.statistics.clustering import kmeans, kmeans_plus_plus, nearest_centre
from simssl.blocks.statistics.dci_infomec_mig import DISENTANGLEMENT, disentanglement_scores
from simssl.blocks.statistics.disentanglement import (
    Codes,
    Trees,
    compactness,
    dci_completeness,
    dci_disentanglement,
    entropy_of_labels,
    explicitness,
    fit_trees,
    is_active,
    modularity,
    mutual_information_gap,
    normalised_information,
)
from simssl.blocks.statistics.factors import (
    Factor,
    binned,
    majority_share,
    skill_of_accuracy,
    skill_of_numbers,
)
from simssl.blocks.statistics.frechet import (
    MissingFeatures,
    PixelFeatures,
    TimmFeatures,
    check_features,
    frechet_distance,
    with_three_channels,
)
from simssl.blocks.statistics.geometry import (
    GroupVariances,
    alignment,
    effective_rank,
    most_variance_ratio,
    rows_differ,
    uniformity,
    variance_ratio,
    variances_of_groups,
    variances_within_and_between,
    varying_columns,
)
from simssl.blocks.statistics.mixture import Mixture, fit_mixture
from simssl.blocks.statistics.neighbours import cosines, nearest_rows, vote, vote_of_nearest, weighted_vote
from simssl.blocks.statistics.normal import moments, sample_normal
from simssl.blocks.statistics.pca import PrincipalComponents, principal_components
from simssl.blocks.statistics.reconstruction import (
    ReconstructionErrors,
    mean_image,
    reconstruction_errors,
    reconstruction_picture,
)
from simssl.blocks.statistics.selective import RiskCoverage, auroc, rank_correlation, risk_coverage
from simssl.blocks.statistics.spectra import LabelFree, alpha_req, label_free, lidar, rankme

__all__ = [  # noqa: RUF022
    # clusters
    "Mixture",
    "fit_mixture",
    "kmeans",
    "kmeans_plus_plus",
    "nearest_centre",
    # neighbours
    "cosines",
    "nearest_rows",
    "vote",
    "vote_of_nearest",
    "weighted_vote",
    # a Gaussian, and principal components
    "PrincipalComponents",
    "moments",
    "principal_components",
    "sample_normal",
    # how representations lie
    "GroupVariances",
    "alignment",
    "effective_rank",
    "most_variance_ratio",
    "rows_differ",
    "uniformity",
    "variance_ratio",
    "variances_of_groups",
    "variances_within_and_between",
    "varying_columns",
    # measures of their spectra that need no labels
    "LabelFree",
    "alpha_req",
    "label_free",
    "lidar",
    "rankme",
    # factors of the images, and how well they are predicted
    "Factor",
    "binned",
    "entropy_of_labels",
    "majority_share",
    "skill_of_accuracy",
    "skill_of_numbers",
    # disentanglement: DCI, InfoMEC, MIG
    "DISENTANGLEMENT",
    "Codes",
    "Trees",
    "compactness",
    "dci_completeness",
    "dci_disentanglement",
    "disentanglement_scores",
    "explicitness",
    "fit_trees",
    "is_active",
    "modularity",
    "mutual_information_gap",
    "normalised_information",
    # whether an uncertainty knows what is wrong
    "RiskCoverage",
    "auroc",
    "rank_correlation",
    "risk_coverage",
    # images that are given back
    "ReconstructionErrors",
    "mean_image",
    "reconstruction_errors",
    "reconstruction_picture",
    # sets of images against one another
    "MissingFeatures",
    "PixelFeatures",
    "TimmFeatures",
    "check_features",
    "frechet_distance",
    "with_three_channels",
]
