"""A server of finished runs: batches, the Open Inference Protocol, uploads of images, a page."""

from keras_archs import lazy

# `networks` imports Keras; `app`, `server` and `watching` import what the extra `serve` brings.
__getattr__, __dir__, __all__ = lazy.package(
    __name__, ("app", "networks", "server", "watching"), {}
)
