"""Architectures that their papers build for images of CIFAR's size learn from real ones.

The images are those of CIFAR-10, compressed, so that no accuracy here compares with a published
one; that the loss falls is all that is asked.
"""

import keras
import numpy as np
import pytest
from networks import KINDS, kind

import keras_archs
from applications.recipes.catalog import recipe
from applications.training import optimizing
from keras_archs.graph import deep_graphs

pytestmark = pytest.mark.slow
if keras.backend.backend() != "tensorflow":
    pytest.skip("compiles for minutes on other backends", allow_module_level=True)

# Of each kind for images of CIFAR's size one, and a deep one.
NETWORKS = [
    *("lenet5", "nincifar", "allcnn_c", "fitnet19", "highway19", "simplenet_310k", "simpnet_300k"),
    "mlp",
    *("plainnet20", "resnet20", "resnet20v2", "resnet110", "wrn_16_4", "densenet40_12"),
]
EXEMPT = {
    "resnext29_8x64d",  # grouped convolutions: seconds a step on a CPU, as its docstring says
    *("wideresnet", "simpnet"),  # the bodies of wrn_16_4 and simpnet_300k
    "densenetbc_100_12",  # the body of densenet40_12, a minute to trace
}


@pytest.fixture(scope="module")
def few(shared_data, cifar10):
    """500 images, normalised, and their labels: 50 of each class, in mixed order."""
    files, labels, _ = cifar10.jpegs(shared_data / "cifar10_train.npz")
    chosen = np.concatenate([np.flatnonzero(labels == label)[:50] for label in range(10)])
    chosen = np.random.default_rng(0).permutation(chosen)
    images = cifar10.decode([files[index] for index in chosen]).astype("float32") / 255
    mean, deviation = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    return (images - mean) / deviation, labels[chosen]


def test_every_kind_is_tried():
    cifar = [name for name in KINDS if max(keras_archs.info(name).input_shape[:2]) <= 32]
    assert {*map(kind, NETWORKS)} == {kind(name) for name in cifar if name not in EXEMPT}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_loss_falls(name, few):
    """All at a quarter of their width; those that are large at full width take few steps."""
    images, labels = few
    large = keras_archs.profile(name).macs >= 250e6
    model = keras_archs.build(name, (32, 32, 3), 10, alpha=0.25, dropout=0)
    optimizing.draw(model, recipe("default"), seed=0)
    normalised = any(isinstance(x, keras.layers.BatchNormalization) for x in model.layers)
    optimizer = keras.optimizers.Adam(3e-3 if normalised else 1e-3, clipnorm=1.0)
    optimizer.build(model.trainable_variables)  # else the first step is traced twice
    model.compile(optimizer, loss="sparse_categorical_crossentropy", jit_compile=False)
    if large:
        with deep_graphs():
            losses = [float(model.train_on_batch(images[:8], labels[:8])) for _ in range(20)]
    else:
        losses = model.fit(images, labels, batch_size=50, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.99 * losses[0], losses  # deep networks without shortcuts are slow
