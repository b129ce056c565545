"""Changing a trained network: cheaper, wider or deeper, for other classes or another input.

>>> model = keras_archs.MobileNet(alpha=0.5)
>>> fast = keras_archs.fold_batch_norm(model)

Every function returns a new model and leaves the one that it is given as it is. Models are
functional or built Sequentials; other models may be nested in them, whose layers are named
`"outer/inner"`. Channels are last. What a function cannot do for a graph is a ValueError that names
the layer.
"""

from keras_archs.surgery.adapting import with_channels, with_classes
from keras_archs.surgery.dense_evaluation import to_fully_convolutional
from keras_archs.surgery.factorising import LowRank, low_rank
from keras_archs.surgery.folding import fold_batch_norm
from keras_archs.surgery.growth import deepen, grow, shrink, widen
from keras_archs.surgery.thinning import prune_channels

__all__ = [
    "LowRank",
    "deepen",
    "fold_batch_norm",
    "grow",
    "low_rank",
    "prune_channels",
    "shrink",
    "to_fully_convolutional",
    "widen",
    "with_channels",
    "with_classes",
]
