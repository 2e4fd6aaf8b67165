"""Image files read into tensors, and tensors shown as pictures.

A data set of image files lists them, decodes them to squares of one size, and keeps the pixels in a cache.
"""

from __future__ import annotations

from simssl.blocks.images.cache import cache_file, cache_folder, cached_pixels
from simssl.blocks.images.decoding import (
    ImageSource,
    centred_square,
    decoded_images,
    fitted_image,
    read_image,
    upright_image,
)
from simssl.blocks.images.downloads import may_download, no_downloads, without_leftovers
from simssl.blocks.images.files import find_images, folder_entries
from simssl.blocks.images.idx import load_idx, write_idx_example
from simssl.blocks.images.morphology import stroke_measures
from simssl.blocks.images.pictures import bar_charts, captioned_pictures, picture_grid

__all__ = [  # noqa: RUF022 - in groups
    # image files: listed, decoded, cached
    "find_images",
    "folder_entries",
    "read_image",
    "upright_image",
    "centred_square",
    "fitted_image",
    "ImageSource",
    "decoded_images",
    "cached_pixels",
    "cache_file",
    "cache_folder",
    # data sets that are downloaded
    "load_idx",
    "write_idx_example",
    "may_download",
    "no_downloads",
    "without_leftovers",
    # what was drawn in an image
    "stroke_measures",
    # pictures for a result
    "picture_grid",
    "bar_charts",
    "captioned_pictures",
]
