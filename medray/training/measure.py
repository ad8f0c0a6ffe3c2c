"""The few figures that training itself reads."""

import numpy as np
from jaxtyping import Float, Int64

from medray.pixels.overlap import Confusion


def macro_auroc(labels: Int64[np.ndarray, " samples"], probabilities: Float[np.ndarray, "samples classes"]) -> float:
    """Mean over the classes of the AUROC of each against the rest; NaN where only one class is there.

    With two classes both have the same value, which is the AUROC of the second.
    """
    return pixel_auroc((labels[:, None] == np.arange(probabilities.shape[1])).astype(np.int64), probabilities)


def pixel_confusion(counts: Int64[np.ndarray, "places classes"], answers: Int64[np.ndarray, " places"]) -> Confusion:
    """Pixels by true class (rows) and by the answer of their place (columns)."""
    confusion = np.zeros((counts.shape[1], counts.shape[1]), np.int64)
    np.add.at(confusion.T, answers, counts)
    return confusion


def pixel_auroc(
    counts: Int64[np.ndarray, "places classes"], probabilities: Float[np.ndarray, "places classes"]
) -> float:
    """`macro_auroc` over the pixels, each with the probabilities of its place."""
    rest = counts.sum(axis=1, keepdims=True) - counts
    values = [
        weighed_auroc(probabilities[:, number], counts[:, number], rest[:, number])
        for number in range(counts.shape[1])
        if counts[:, number].any() and rest[:, number].any()
    ]
    return float(np.mean(values)) if values else float("nan")


def weighed_auroc(
    scores: Float[np.ndarray, " places"],
    positives: Int64[np.ndarray, " places"],
    negatives: Int64[np.ndarray, " places"],
) -> float:
    """The share of pairs of a positive and a negative pixel in which the positive scores higher; a tie counts half.

    Args:
        scores: of each place.
        positives: how many positive pixels have it.
        negatives: how many negative ones.
    """
    _, place = np.unique(scores, return_inverse=True)
    ups, downs = (np.bincount(place, weights=count) for count in (positives, negatives))
    below = np.cumsum(downs) - downs
    return float((ups * (below + downs / 2)).sum() / (ups.sum() * downs.sum()))
