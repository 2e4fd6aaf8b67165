"""Networks that methods are built from: heads, a Gaussian autoencoder, teachers, batch norm over parts of a batch.

The encoders and decoders themselves are a backbone's, which `Context.encoder` and `Context.decoder` build. Of a
backbone's parts there are a decoder that goes with any encoder, stems for small images, standardisation and padding,
and what is known of timm's models.
"""

from __future__ import annotations

from simssl.blocks.networks.autoencoder import GaussianAutoencoder, Sample
from simssl.blocks.networks.batch_norm import SplitBatchNorm, follow_batches, has_batch_norm, split_batch_norm
from simssl.blocks.networks.decoder import upsampling_decoder
from simssl.blocks.networks.heads import Widths, in_float32, mlp, projection_head, require_two_images
from simssl.blocks.networks.models import (
    ModelFacts,
    facts_of_model,
    names_of_models,
    require_model,
    weights_in_file,
)
from simssl.blocks.networks.preparation import PadToMultiple, Standardize
from simssl.blocks.networks.stems import StemName, fit_stem, stem_of_size
from simssl.blocks.networks.synced_batch_norm import SyncedBatchNorm, SyncedSplitBatchNorm, synchronise_batch_norm
from simssl.blocks.networks.teacher import Teacher, cosine_momentum

__all__ = [  # noqa: RUF022 - in groups
    # MLPs and heads
    "mlp",
    "projection_head",
    "Widths",
    "in_float32",
    "require_two_images",
    # variational autoencoders
    "GaussianAutoencoder",
    "Sample",
    # backbones
    "upsampling_decoder",
    "Standardize",
    "PadToMultiple",
    "StemName",
    "stem_of_size",
    "fit_stem",
    # timm's models
    "ModelFacts",
    "facts_of_model",
    "names_of_models",
    "require_model",
    "weights_in_file",
    # teachers
    "Teacher",
    "cosine_momentum",
    # batch norm
    "has_batch_norm",
    "split_batch_norm",
    "follow_batches",
    "SplitBatchNorm",
    "SyncedBatchNorm",
    "SyncedSplitBatchNorm",
    "synchronise_batch_norm",
]
