"""The points that the figures draw: curves, bins and counts, without any drawing."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from medray.reports.bootstrap import patient_numbers, resampled_weights
from medray.reports.measures import CALIBRATION_BINS
from medray.reports.metrics import Evaluation


@dataclass(frozen=True)
class Curve:
    """A curve's corners: `x` and `y` in [0, 1], and the threshold (probability ≥) that gives each of them."""

    x: Float64[np.ndarray, " points"]
    y: Float64[np.ndarray, " points"]
    thresholds: Float64[np.ndarray, " points"]


@dataclass(frozen=True)
class CalibrationBins:
    """Equal-width bins of the probability; mean and observed share are NaN in an empty bin."""

    edges: Float64[np.ndarray, " edges"]
    counts: Int[np.ndarray, " bins"]
    mean_probability: Float64[np.ndarray, " bins"]
    observed: Float64[np.ndarray, " bins"]


def _cumulated(
    positive: Bool[np.ndarray, " samples"], probability: Float[np.ndarray, " samples"]
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """Count true and false positives at each distinct probability, from the highest on."""
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order].astype(np.float64)
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    true_positive = np.cumsum(positive[order])[last].astype(np.float64)
    return true_positive, last + 1 - true_positive, ranked[last]


def roc_curve(positive: Bool[np.ndarray, " samples"], probability: Float[np.ndarray, " samples"]) -> Curve | None:
    """Give 1 - specificity (x) and sensitivity (y), from (0, 0) on; none where only one class is there."""
    if positive.all() or not positive.any():
        return None
    true_positive, false_positive, thresholds = _cumulated(positive, probability)
    x = np.r_[0.0, false_positive / (~positive).sum()]
    y = np.r_[0.0, true_positive / positive.sum()]
    return Curve(x, y, np.r_[np.inf, thresholds])


def precision_recall_curve(
    positive: Bool[np.ndarray, " samples"], probability: Float[np.ndarray, " samples"]
) -> Curve | None:
    """Give recall (x) and precision (y) by rising recall; none where only one class is there."""
    if positive.all() or not positive.any():
        return None
    true_positive, false_positive, thresholds = _cumulated(positive, probability)
    precision = true_positive / (true_positive + false_positive)
    recall = true_positive / positive.sum()
    return Curve(np.r_[0.0, recall], np.r_[precision[0], precision], np.r_[np.inf, thresholds])


def roc_band(
    evaluation: Evaluation, number: int, *, grid: Float64[np.ndarray, " grid"], resamples: int = 200, seed: int = 0
) -> Float64[np.ndarray, "2 grid"] | None:
    """Give the pointwise 95 % interval of the sensitivity at each 1 - specificity of the grid, over patients.

    None where there are fewer than two patients, or resamples without one of the classes are too many.
    """
    assert evaluation.labels is not None
    numbers = patient_numbers(evaluation.patients)
    order = np.argsort(-evaluation.probabilities[:, number], kind="stable")
    positive = (evaluation.labels == number)[order]
    ranked = evaluation.probabilities[order, number]
    last = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])
    curves = []
    for block in resampled_weights(numbers, resamples, seed):
        true_positive = np.cumsum(block[:, order] * positive, axis=1)[:, last]
        false_positive = np.cumsum(block[:, order] * ~positive, axis=1)[:, last]
        for hits, alarms in zip(true_positive, false_positive, strict=True):
            if hits[-1] and alarms[-1]:
                curves.append(np.interp(grid, np.r_[0.0, alarms / alarms[-1]], np.r_[0.0, hits / hits[-1]]))
    if numbers.max() < 1 or 2 * len(curves) < resamples:
        return None
    return np.asarray(np.percentile(np.stack(curves), [2.5, 97.5], axis=0))


def calibration_bins(
    hits: Bool[np.ndarray, " samples"], probability: Float[np.ndarray, " samples"], bins: int = CALIBRATION_BINS
) -> CalibrationBins:
    """Compare the mean probability of each bin with the share that came true (reliability diagram)."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    counts = np.bincount(place, minlength=bins)
    filled = np.where(counts > 0, counts, np.nan)
    mean = np.bincount(place, weights=probability.astype(np.float64), minlength=bins) / filled
    observed = np.bincount(place, weights=hits.astype(np.float64), minlength=bins) / filled
    return CalibrationBins(np.linspace(0, 1, bins + 1), counts, mean, observed)


def confusion(
    labels: Int[np.ndarray, " samples"], predicted: Int[np.ndarray, " samples"], classes: int
) -> Int[np.ndarray, "classes classes"]:
    """Count samples: one row a true class, one column a predicted class."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def score_histogram(
    groups: Int[np.ndarray, " samples"], probability: Float[np.ndarray, " samples"], *, count: int, bins: int = 25
) -> Int[np.ndarray, "groups bins"]:
    """Count samples in equal-width bins of the probability, one row a group (0 ≤ group < count)."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    return np.bincount(groups * bins + place, minlength=count * bins).reshape(count, bins)


def wilson_interval(
    share: Float64[np.ndarray, " bins"], counts: Int[np.ndarray, " bins"]
) -> tuple[Float64[np.ndarray, " bins"], Float64[np.ndarray, " bins"]]:
    """Give the 95 % score interval of a share of `counts` samples (Wilson 1927), which stays within [0, 1]."""
    z = 1.959963984540054
    scale = 1 + z**2 / counts
    center = (share + z**2 / (2 * counts)) / scale
    half = z * np.sqrt(share * (1 - share) / counts + z**2 / (4 * counts**2)) / scale
    return np.clip(center - half, 0, 1), np.clip(center + half, 0, 1)


def sides_by_threshold(
    positive: Bool[np.ndarray, " samples"],
    probability: Float[np.ndarray, " samples"],
    grid: Float64[np.ndarray, " grid"],
) -> tuple[Float64[np.ndarray, " grid"], Float64[np.ndarray, " grid"]]:
    """Give sensitivity and specificity with positive at and above each threshold; NaN without that side."""
    sides = []
    for side in (positive, ~positive):
        ranked = np.sort(probability[side])
        sides.append(np.searchsorted(ranked, grid, side="left") / (len(ranked) or np.nan))
    return 1 - sides[0], sides[1]


def kept_by_threshold(
    right: Bool[np.ndarray, " samples"],
    probability: Float[np.ndarray, " samples"],
    grid: Float64[np.ndarray, " grid"],
) -> tuple[Float64[np.ndarray, " grid"], Float64[np.ndarray, " grid"]]:
    """Give the share of samples at and above each threshold, and how many of those are right; NaN where none is."""
    kept = len(right) - np.searchsorted(np.sort(probability), grid, side="left")
    correct = right.sum() - np.searchsorted(np.sort(probability[right]), grid, side="left")
    return kept / len(right), correct / np.where(kept > 0, kept, np.nan)
