"""DeepCluster (Caron et al. 2018): clusters of the representations are the labels of the next epoch.

Each epoch: k-means on the representations of all images, PCA-whitened and of length 1; then minimise
CE(W f(x) + b, cluster of the image), images drawn uniformly over the clusters, W and b beginning at 0.
K counts clusters, P principal components.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

import simssl
from simssl.api import Context, EncodeAll, EncoderObjective, Objective, Terms
from simssl.blocks.networks import in_float32
from simssl.blocks.statistics import kmeans, principal_components


class DeepCluster(EncoderObjective):
    """DeepCluster: the encoder learns to predict the clusters that its own representations fell into.

    The loss works on the representation itself, without a head between. An empty cluster takes up a part of another
    (as in the authors' code); one that stays empty draws no images. It takes one view, so that `positives` change
    nothing: the label stays the cluster of the image itself.
    """

    class Params(simssl.Params):
        k: int = Field(64, ge=2)
        "Clusters. Ours: several to a class; Caron et al. 2018 find some ten to a class best (10,000 for ImageNet)."
        iterations: int = Field(20, ge=1)
        "Most rounds of k-means in each epoch. Source: the authors' code, 20."

    views = ("random",)
    permutation_invariant = True
    cluster_N: Tensor

    def __init__(self, params: Params, context: Context) -> None:
        super().__init__(params, context)
        if params.k > context.num_images:
            raise ValueError(f"k is {params.k}, more than the {context.num_images} training images")
        self.classifier = nn.Linear(context.latent_dim, params.k)
        self.register_buffer("cluster_N", torch.zeros(context.num_images, dtype=torch.long))

    @torch.no_grad()
    def before_epoch(self, epoch: int, encode_all: EncodeAll, generator: torch.Generator) -> Tensor:
        z_ND = encode_all()
        whitened_NP = principal_components(z_ND.split(1000), min(z_ND.shape)).whiten(z_ND)
        rows_NP = F.normalize(whitened_NP, dim=1)
        cluster_N, _ = kmeans(rows_NP, self.params.k, generator, self.params.iterations)
        self.cluster_N.copy_(cluster_N)
        for parameter in self.restarted_parameters():
            parameter.zero_()
        size_K = cluster_N.bincount()
        return 1 / size_K[cluster_N]

    def restarted_parameters(self) -> Iterable[nn.Parameter]:
        return self.classifier.parameters()

    def forward(self, x_BJCHW: Tensor, index_B: Tensor, generator: torch.Generator) -> Terms:
        z_BD = self.encoder(x_BJCHW[:, 0])
        logits_BK = in_float32(self.classifier, z_BD)
        return Terms(loss={"cross_entropy": F.cross_entropy(logits_BK, self.cluster_N[index_B])})


@simssl.hookimpl
def simssl_objective() -> type[Objective]:
    return DeepCluster
