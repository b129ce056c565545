"""Images: where they come from, how they are read, and the batches that a training sees."""

from applications.data.arrays import kept_arrays
from applications.data.images import read_images, resize_images
from applications.data.sources import NAMES, Dataset, Source, Subset, open_source

__all__ = [
    "NAMES",
    "Dataset",
    "Source",
    "Subset",
    "kept_arrays",
    "open_source",
    "read_images",
    "resize_images",
]
