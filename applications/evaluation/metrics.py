"""Figures that say how good predictions are."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

_TOP = 5
_BINS = 15  # Guo et al. 2017, table 1
_COLDEST, _HOTTEST = 0.01, 100.0  # temperatures among which the best is looked for
_RESAMPLES = 1000
_LEVEL = 0.95


def metrics(labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Test metrics as `metrics.json` holds them.

    Args:
        labels: true class of each image, (N,), integers.
        probabilities: (N, classes), float32, rows that sum to 1.
        names: class names, in the order of the columns.

    Returns:
        What `headline` returns; `confusion_matrix`, rows are the true classes and columns the
        predicted ones; `predicted_classes`, how many classes were predicted at all; `per_class`,
        by name `precision`, `recall`, `f1` (each 0 where undefined) and the number of `images`.

    Raises:
        ValueError: a probability is not a number, as after a training that diverged.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

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
        **headline(labels, probabilities),
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


def headline(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """The figures of a line of a table; arguments as of `metrics`.

    Returns:
        `test_accuracy`; `top5_accuracy`, how often the true class is among the five most probable,
        where there are six or more; `balanced_accuracy`, the mean recall of the classes that occur
        among the labels; `macro_f1`, the mean over the classes that occur among the labels or the
        predictions; `test_loss`, the mean cross-entropy in nats.
    """
    from sklearn.metrics import (
        accuracy_score,
        f1_score,
        log_loss,
        recall_score,
        top_k_accuracy_score,
    )

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    zero: Any = 0
    found = {"test_accuracy": accuracy_score(labels, predicted)}
    if len(classes) > _TOP:
        found["top5_accuracy"] = top_k_accuracy_score(labels, probabilities, k=_TOP, labels=classes)
    found["balanced_accuracy"] = recall_score(
        labels, predicted, labels=np.unique(labels), average="macro", zero_division=zero
    )
    found["macro_f1"] = f1_score(labels, predicted, average="macro", zero_division=zero)
    found["test_loss"] = log_loss(labels, probabilities, labels=classes)
    return {name: float(value) for name, value in found.items()}


def worst_mistakes(labels: np.ndarray, probabilities: np.ndarray, most: int) -> np.ndarray:
    """Rows of the wrong predictions, the surest first: (at most `most`,).

    Args:
        labels: true class of each image, (N,), integers.
        probabilities: (N, classes).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    surest = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return wrong[surest[:most]]


# ------------------------------------------------------------------------------------- calibration


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, Any]:
    """How far a network's confidence is from how often it is right.

    Guo et al. 2017, arXiv:1706.04599, equations 1 to 3: the most probable class's probability is
    the confidence; its range is cut into 15 bins of equal width, each without its lower end.

    Args:
        labels: true class of each image, (N,), integers.
        probabilities: (N, classes), rows that sum to 1.

    Returns:
        `ece`, the expected calibration error in 0..1: the mean distance of accuracy and confidence
        over the bins, weighted by their images; `bins`, for each its `above` and `to`, its
        `images`, and their `accuracy` and mean `confidence` (None where there are no images).
    """
    confidence = probabilities.max(axis=1).astype(float)
    right = probabilities.argmax(axis=1) == labels
    edges = np.arange(_BINS + 1) / _BINS
    places = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, _BINS - 1)
    bins, gaps = [], 0.0
    for at, (low, high) in enumerate(itertools.pairwise(edges)):
        inside = places == at
        images = int(inside.sum())
        accuracy = float(right[inside].mean()) if images else None
        mean = float(confidence[inside].mean()) if images else None
        if accuracy is not None and mean is not None:
            gaps += images * abs(accuracy - mean)
        bins.append(
            {
                "above": float(low),
                "to": float(high),
                "images": images,
                "accuracy": accuracy,
                "confidence": mean,
            }
        )
    return {"ece": gaps / len(labels), "bins": bins}


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Probabilities of logits that are divided by a temperature: float64, of the same shape."""
    from scipy import special

    return special.softmax(logits.astype(float) / temperature, axis=1)


def cross_entropy(labels: np.ndarray, logits: np.ndarray, temperature: float = 1.0) -> float:
    """The mean negative logarithm of the true classes' probabilities, in nats."""
    from scipy import special

    logs = special.log_softmax(logits.astype(float) / temperature, axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """The temperature, 0.01..100, by which logits are divided for the least cross-entropy.

    Temperature scaling: Guo et al. 2017, arXiv:1706.04599, section 4.2. It changes no prediction.
    At 100 the logits are worth no more than chance, as after a training that hardly began.

    Args:
        labels: true class of each validation image, (N,), integers.
        logits: (N, classes).

    Raises:
        ValueError: all images are right, so that the colder the better: there is no best one.
    """
    from scipy.optimize import minimize_scalar

    if (logits.argmax(axis=1) == labels).all():
        raise ValueError(
            "`calibrate` must have validation images of which some are classified wrong: without "
            f"a mistake no temperature is the best. Received: {len(labels)} images, all right"
        )
    found: Any = minimize_scalar(
        lambda log: cross_entropy(labels, logits, np.exp(log)),
        bounds=(np.log(_COLDEST), np.log(_HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


# --------------------------------------------------------------------------------------- certainty


def intervals(matrix: Sequence[Sequence[int]] | np.ndarray, seed: int = 0) -> dict[str, Any]:
    """95 % confidence intervals by the bootstrap over test images: percentiles of 1,000 resamples.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3. A resample of the
    images is a draw of the confusion matrix's cells from the multinomial distribution of their
    shares, which is how it is drawn.

    Args:
        matrix: the confusion matrix, rows are the true classes.
        seed: of the resamples.

    Returns:
        `test_accuracy` and `macro_f1`, each `[low, high]`; `level`, `resamples` and `seed`.
    """
    counts = np.asarray(matrix)
    classes, images = len(counts), int(counts.sum())
    truth, predicted = np.nonzero(counts)
    seen = counts[truth, predicted]
    right = truth == predicted
    random = np.random.default_rng(seed)
    accuracies, scores = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    for at in range(_RESAMPLES):
        drawn = random.multinomial(images, seen / images)
        hits = np.bincount(truth[right], drawn[right], classes)
        either = np.bincount(truth, drawn, classes) + np.bincount(predicted, drawn, classes)
        accuracies[at] = hits.sum() / images
        scores[at] = (2 * hits[either > 0] / either[either > 0]).mean()
    tails = [50 * (1 - _LEVEL), 50 * (1 + _LEVEL)]
    return {
        "test_accuracy": np.percentile(accuracies, tails).tolist(),
        "macro_f1": np.percentile(scores, tails).tolist(),
        "level": _LEVEL,
        "resamples": _RESAMPLES,
        "seed": seed,
    }


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict[str, Any]:
    """Whether two networks differ in accuracy on the same images: McNemar's exact test.

    McNemar 1947, Psychometrika 12(2), with the binomial distribution in the place of chi square.

    Args:
        first, second: whether each image is classified right, (N,), bool.

    Returns:
        `only_first` and `only_second`, the images that one alone has right (b and c); `difference`
        of the accuracies, first less second; `p_value`, two-sided.
    """
    from scipy.stats import binomtest

    b, c = int((first & ~second).sum()), int((second & ~first).sum())
    return {
        "only_first": b,
        "only_second": c,
        "difference": (b - c) / len(first),
        "p_value": float(binomtest(b, b + c).pvalue) if b + c else 1.0,
    }
