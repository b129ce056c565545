"""Figures that say how good predictions are."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def metrics(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Test metrics as `metrics.json` holds them.

    Args:
        labels: true class of each image, (N,), integers.
        probabilities: (N, classes), float32, rows that sum to 1.
        names: class names, in the order of the columns.

    Returns:
        `test_accuracy`; `macro_f1`, the mean over the classes that occur among the labels or the
        predictions; `test_loss`, the mean cross-entropy in nats; `confusion_matrix`, rows are the
        true classes and columns the predicted ones; `predicted_classes`, how many classes were
        predicted at all; `per_class`, by name `precision`, `recall`,
        `f1` (each 0 where undefined) and the number of `images`.

    Raises:
        ValueError: a probability is not a number, as after a training that diverged.
    """
    from sklearn.metrics import (
        accuracy_score,
        confusion_matrix,
        f1_score,
        log_loss,
        precision_recall_fscore_support,
    )

    check_finite(probabilities)
    classes = np.arange(len(names))
    predicted = probabilities.argmax(axis=1)
    zero: Any = 0  # where a figure is undefined; scikit-learn's annotation knows only its default
    columns: Any = precision_recall_fscore_support(
        labels, predicted, labels=classes, zero_division=zero
    )
    per_class = {
        name: {"precision": float(p), "recall": float(r), "f1": float(f), "images": int(n)}
        for name, p, r, f, n in zip(names, *columns, strict=True)
    }
    return {
        "test_accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=zero)),
        "test_loss": float(log_loss(labels, probabilities, labels=classes)),
        "confusion_matrix": confusion_matrix(labels, predicted, labels=classes).tolist(),
        "predicted_classes": len(np.unique(predicted)),
        "per_class": per_class,
    }


def check_finite(probabilities: np.ndarray) -> None:
    """Raise ValueError where a row of probabilities, (N, classes), has one that is no number."""
    count, undefined = len(probabilities), int((~np.isfinite(probabilities)).any(axis=1).sum())
    if undefined:
        raise ValueError(
            "the network's probabilities must be finite; if the training diverged, try a lower "
            f"learning rate. Received: {undefined} of {count} rows with NaN or infinity"
        )


def worst_mistakes(labels: np.ndarray, probabilities: np.ndarray, most: int) -> np.ndarray:
    """Rows of the wrong predictions, the surest first: (at most `most`,).

    Args:
        labels: true class of each image, (N,), integers.
        probabilities: (N, classes).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[surest[:most]]
