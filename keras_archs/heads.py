"""Classifiers, and the steps that they are made of."""

from keras import layers

from keras_archs.kinds import globally_pooled


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


def fused_classifier(x, classes, dropout, activation, name="predictions"):
    """(B, C) -> (B, classes): dropout and a dense layer that applies the activation itself."""
    x = dropped(x, dropout)
    return layers.Dense(classes, activation=activation or "linear", name=name, dtype="float32")(x)


def gap_dense(x, *, classes, dropout, classifier_activation):
    """Global average pooling and one dense layer, named and fused as keras.applications does."""
    return fused_classifier(globally_pooled(x, "avg"), classes, dropout, classifier_activation)


def gap_classifier(x, *, classes, dropout, classifier_activation):
    """Global average pooling and the `classifier`. (B, H, W, C) -> (B, classes)."""
    return classifier(globally_pooled(x, "avg"), classes, dropout, classifier_activation)


def averaged(x, activation, name):
    """Maps of logits, one a class, averaged in float32. (B, H, W, classes) -> (B, classes)."""
    return activated(globally_pooled(x, "avg", name, dtype="float32"), activation)
