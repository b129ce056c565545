"""Classifiers, and the steps that they are made of."""

from keras import layers


def dropped(x, rate, name="dropout"):
    """Dropout where there is something to drop: a rate of 0 adds no layer."""
    return layers.Dropout(rate, name=name)(x) if rate else x


def flatten(x, name="flatten"):
    """(B, H, W, C) -> (B, H*W*C). H and W must be known."""
    if None in x.shape[1:]:
        raise ValueError(
            f"`input_shape` must have fixed sides: layer `{name}` flattens the map. "
            f"Received: sides {x.shape[1:-1]} at that layer"
        )
    return layers.Flatten(name=name)(x)


def activated(x, activation, name="predictions"):
    """Logits through the classifier's activation in float32; None leaves them as they are."""
    if activation is None:
        return x
    return layers.Activation(activation, name=name, dtype="float32")(x)


def classifier(x, classes, dropout, activation, prefix=""):
    """(B, C) -> (B, classes): dropout, a dense layer `logits`, the activation `predictions`."""
    x = dropped(x, dropout, name=f"{prefix}dropout")
    x = layers.Dense(classes, name=f"{prefix}logits", dtype="float32")(x)
    return activated(x, activation, f"{prefix}predictions")


def gap_dense(x, *, classes, dropout, classifier_activation):
    """Global average pooling and one dense layer, named and fused as keras.applications does."""
    x = dropped(layers.GlobalAveragePooling2D(name="avg_pool")(x), dropout)
    activation = classifier_activation or "linear"
    return layers.Dense(classes, activation=activation, name="predictions", dtype="float32")(x)
