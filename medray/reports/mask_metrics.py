"""True and predicted masks in, the metrics table out: each number with its interval over patients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Float64, Int16, Int64

from medray.pixels.overlap import confusion_of, dice_of
from medray.reports.bootstrap import patient_numbers, percentile_interval, resampled_weights
from medray.reports.measures import ratio
from medray.reports.metrics import MACRO
from medray.schema import METRICS

MASK_METRIC_NAMES = ("dice", "dice_pooled", "accuracy", "sensitivity", "specificity", "auroc")
HALF, ONE, BITS_LEFT_OUT = 0x3800, 0x3C00, 3
BINS = (HALF >> BITS_LEFT_OUT) + ONE - HALF + 1
"""Of a float16 from 0 to 1. Its bits count upwards: below 0.5 all but the last three are a bin's number, so that bins
are ever finer towards 0; above, where float16 is even, each value has a bin."""

Mask = Int16[np.ndarray, "rows columns"]


@dataclass(frozen=True)
class MaskSums:
    """All that the metrics need of one sample.

    Attributes:
        confusion: pixels by true class and answer; the last column is of pixels that the model did not see.
        ranks: pixels of each class (and of the others) by bins of its probability; None where none are stored.
    """

    confusion: Int64[np.ndarray, "classes answers"]
    ranks: Int64[np.ndarray, "classes 2 bins"] | None

    @property
    def dice(self) -> Float64[np.ndarray, " classes"]:
        """Of each class; NaN where neither mask has it."""
        return dice_of(self.confusion)


def sum_masks(
    truth: Mask, answers: Mask, probabilities: Float[np.ndarray, "classes rows columns"] | None, classes: int
) -> MaskSums:
    """Count the pixels of one sample where the truth is not -1.

    Args:
        truth: class numbers, -1 = the pixel does not count.
        answers: class numbers, -1 = the model did not see the pixel: it is wrong.
        probabilities: of each class, NaN where the model saw nothing: they rank below all others.
        classes: how many there are.
    """
    confusion = confusion_of(truth, answers, classes)
    if probabilities is None:
        return MaskSums(confusion, None)
    counted = truth >= 0
    ranks = np.empty((classes, 2, BINS), np.int64)
    for number, plane in enumerate(probabilities):
        chances = np.nan_to_num(plane[counted], nan=0.0).astype(np.float16)
        bits = chances.view(np.uint16).astype(np.int64)
        bins = np.where(bits < HALF, bits >> BITS_LEFT_OUT, bits - HALF + (HALF >> BITS_LEFT_OUT))
        mine = truth[counted] == number
        ranks[number] = [np.bincount(bins[where], minlength=BINS) for where in (mine, ~mine)]
    return MaskSums(confusion, ranks)


def compute_mask_metrics(
    sums: Sequence[MaskSums],
    classes: Sequence[str],
    *,
    patients: Sequence[str | None],
    subgroups: Mapping[str, Sequence[str | None]] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> pa.Table:
    """Measure each class against the rest and `macro`, over all samples and over each value of each subgroup.

    `dice` is the mean over the samples in which it is defined; the others are over all pixels at once, `auroc` to the
    width of the bins (its error is below 1e-3). `macro` is the mean over the classes, its accuracy the share of the
    pixels that are right. What is not defined is null; so is the interval of a single patient.

    Args:
        sums: one a sample.
        classes: names.
        patients: key of each sample's patient, the unit of the bootstrap; null = a patient of its own.
        subgroups: column name to one value a sample.
        bootstrap: resamples of patients; 0 = no intervals.
        seed: of the resamples.

    Returns:
        Rows of `schema.METRICS`.
    """
    rows = list(_rows(sums, classes, patients, "all", (bootstrap, seed)))
    for column, values in (subgroups or {}).items():
        names = ["not given" if value is None else str(value) for value in values]
        for name in sorted(set(names)):
            kept = [place for place, other in enumerate(names) if other == name]
            some = [sums[place] for place in kept], classes, [patients[place] for place in kept]
            rows += _rows(*some, f"{column}={name}", (bootstrap, seed))
    return pa.Table.from_pylist(rows, schema=METRICS)


def _rows(
    sums: Sequence[MaskSums],
    classes: Sequence[str],
    patients: Sequence[str | None],
    subgroup: str,
    resampling: tuple[int, int],
) -> Iterator[dict[str, object]]:
    numbers, samples = patient_numbers(patients), len(sums)
    known = int(numbers.max()) + 1
    confusion = np.stack([one.confusion for one in sums]).astype(np.float64)
    ranked = [one.ranks for one in sums if one.ranks is not None]
    ranks = np.stack(ranked).astype(np.float64) if len(ranked) == samples else None
    point = _measure(confusion, ranks, np.ones((1, samples)))[0]
    interval = np.full((2, len(point)), np.nan)
    if resampling[0] and known > 1:
        blocks = resampled_weights(numbers, *resampling)
        interval = percentile_interval(np.concatenate([_measure(confusion, ranks, block) for block in blocks]))
    interval[:, np.isnan(point)] = np.nan
    names = [(label, metric) for label in (*classes, MACRO) for metric in MASK_METRIC_NAMES]
    for (label, metric), *values in zip(names, point, *interval, strict=True):
        value, low, high = (None if np.isnan(number) else float(number) for number in values)
        keys = {"label": label, "subgroup": subgroup, "metric": metric}
        yield {**keys, "value": value, "low": low, "high": high, "samples": samples, "patients": known}


def _measure(
    confusion: Float64[np.ndarray, "samples classes answers"],
    ranks: Float64[np.ndarray, "samples classes 2 bins"] | None,
    weights: Float64[np.ndarray, "resamples samples"],
) -> Float64[np.ndarray, "resamples values"]:
    """Give the metrics of each class and of macro, side by side; one row a weighting."""
    samples, classes = confusion.shape[:2]
    each = np.stack([dice_of(one.astype(np.int64)) for one in confusion])
    defined = np.isfinite(each)
    dice = ratio(weights @ np.where(defined, each, 0), weights @ defined.astype(np.float64))
    pooled = (weights @ confusion.reshape(samples, -1)).reshape(-1, classes, classes + 1)
    right = np.einsum("rcc->rc", pooled[:, :, :classes])
    truth, answered = pooled.sum(axis=2), pooled[:, :, :classes].sum(axis=1)
    total = truth.sum(axis=1, keepdims=True) + np.zeros_like(truth)
    others = total - truth
    rejected = others - (answered - right)
    auroc = np.full_like(right, np.nan) if ranks is None else _auroc(ranks, weights)
    columns = (
        dice,
        ratio(2 * right, truth + answered),
        ratio(right + rejected, total),
        ratio(right, truth),
        ratio(rejected, others),
        auroc,
    )
    measured = np.stack(columns, axis=2)
    defined_classes = np.isfinite(measured)
    macro = ratio(np.where(defined_classes, measured, 0).sum(axis=1), defined_classes.sum(axis=1).astype(np.float64))
    macro[:, MASK_METRIC_NAMES.index("accuracy")] = ratio(right.sum(axis=1), total[:, 0])
    return np.concatenate([measured.reshape(len(weights), -1), macro], axis=1)


def _auroc(
    ranks: Float64[np.ndarray, "samples classes 2 bins"], weights: Float64[np.ndarray, "resamples samples"]
) -> Float64[np.ndarray, "resamples classes"]:
    """Mann-Whitney over bins; pixels of one bin count half."""
    found = np.empty((len(weights), ranks.shape[1]))
    for number in range(ranks.shape[1]):
        mine, others = (weights @ ranks[:, number, side] for side in (0, 1))
        below = np.cumsum(others, axis=1) - others
        found[:, number] = ratio((mine * (below + others / 2)).sum(axis=1), mine.sum(axis=1) * others.sum(axis=1))
    return found
