"""Weighted metrics of one class against the rest, for many weightings of the same samples at once."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

CALIBRATION_BINS = 15
METRIC_NAMES = (
    "auroc",
    "average_precision",
    "accuracy",
    "f1",
    "sensitivity",
    "specificity",
    "brier_score",
    "expected_calibration_error",
    "prevalence",
)
_LINEAR = 5  # true positive, false positive, false negative, true negative, squared error; then the calibration gaps


@dataclass(frozen=True)
class ClassView:
    """What one class needs for its metrics, prepared once for all resamples.

    Attributes:
        order: rows by rising probability.
        starts: where each group of equal probabilities begins in `order`.
        positive: 1 where the row (in `order`) is of the class.
        sums: columns of which the metrics need only weighted sums.
    """

    order: Int[np.ndarray, " samples"]
    starts: Int[np.ndarray, " groups"]
    positive: Float64[np.ndarray, " samples"]
    sums: Float64[np.ndarray, "samples columns"]


def calibration_gaps(
    hits: Bool[np.ndarray, " samples"], probability: Float[np.ndarray, " samples"]
) -> Float64[np.ndarray, "samples bins"]:
    """Spread (hit - probability) over equal-width bins of the probability, one column a bin.

    The expected calibration error (Naeini 2015) is the sum of the absolute column sums over the number of samples.
    """
    bins = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.zeros((len(hits), CALIBRATION_BINS))
    gaps[np.arange(len(hits)), bins] = hits - probability.astype(np.float64)
    return gaps


def view_class(
    positive: Bool[np.ndarray, " samples"],
    probability: Float[np.ndarray, " samples"],
    predicted: Bool[np.ndarray, " samples"],
) -> ClassView:
    """Sort the rows of one class once and lay out what its metrics sum over."""
    order = np.argsort(probability, kind="stable")
    ranked = probability[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    outcomes = [positive & predicted, ~positive & predicted, positive & ~predicted, ~positive & ~predicted]
    squared = (positive - probability.astype(np.float64)) ** 2
    sums = np.column_stack([*outcomes, squared, calibration_gaps(positive, probability)]).astype(np.float64)
    return ClassView(order, starts, positive[order].astype(np.float64), sums)


def ratio(numerator: Float64[np.ndarray, "*n"], denominator: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """Divide, with NaN (not defined) where the denominator is 0."""
    undefined = np.full_like(denominator, np.nan)
    quotient: np.ndarray = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return quotient


def rank_metrics(
    view: ClassView, weights: Float64[np.ndarray, "resamples samples"]
) -> tuple[Float64[np.ndarray, " resamples"], Float64[np.ndarray, " resamples"]]:
    """Give AUROC (Mann-Whitney, ties count half) and average precision (steps, no interpolation).

    NaN where one of the two sides has no weight. Equal to scikit-learn's, which the tests hold to 1e-12.
    """
    weights = weights[:, view.order]
    positives = weights * view.positive
    negatives = weights - positives
    if len(view.starts) < len(view.order):
        positives = np.add.reduceat(positives, view.starts, axis=1)
        negatives = np.add.reduceat(negatives, view.starts, axis=1)
    below, lower = np.cumsum(negatives, axis=1), np.cumsum(positives, axis=1)
    pairs = lower[:, -1] * below[:, -1]
    auroc = ratio(np.einsum("ij,ij->i", positives, below - negatives / 2), pairs)
    true_positive = lower[:, -1:] - lower + positives
    selected = true_positive + below[:, -1:] - below + negatives
    precision = true_positive / np.maximum(selected, 1)  # weights are counts: 0 or at least 1
    average_precision = ratio(np.einsum("ij,ij->i", positives, precision), lower[:, -1])
    return auroc, np.where(pairs > 0, average_precision, np.nan)


def class_metrics(
    view: ClassView, weights: Float64[np.ndarray, "resamples samples"]
) -> Float64[np.ndarray, "resamples metrics"]:
    """Give the columns of `METRIC_NAMES`, one row a weighting; NaN where a metric is not defined."""
    sums = weights @ view.sums
    total = weights.sum(axis=1)
    true_positive, false_positive, false_negative, true_negative, squared = sums[:, :_LINEAR].T
    columns = (
        *rank_metrics(view, weights),
        ratio(true_positive + true_negative, total),
        ratio(2 * true_positive, 2 * true_positive + false_positive + false_negative),
        ratio(true_positive, true_positive + false_negative),
        ratio(true_negative, true_negative + false_positive),
        ratio(squared, total),
        ratio(np.abs(sums[:, _LINEAR:]).sum(axis=1), total),
        ratio(true_positive + false_negative, total),
    )
    return np.column_stack(columns)
