"""Labels and probabilities in, the metrics table out: each number with its interval over patients."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Float64, Int

from medray.errors import LabelError
from medray.reports.bootstrap import patient_numbers, percentile_interval, resampled_weights
from medray.reports.measures import METRIC_NAMES, ClassView, calibration_gaps, class_metrics, ratio, view_class
from medray.schema import METRICS

MACRO = "macro"
_ACCURACY, _CALIBRATION, _PREVALENCE = (
    METRIC_NAMES.index(name) for name in ("accuracy", "expected_calibration_error", "prevalence")
)


@dataclass(frozen=True)
class Evaluation:
    """Scored samples, with their labels where there are any.

    Attributes:
        probabilities: one column a class.
        classes: names of the classes; of two the last is the positive one.
        labels: class number of each sample; none where no labels were given.
        threshold: positive at this probability and above, for two classes; none = the most probable class.
        patients: key of each sample's patient; null = a patient of its own.
    """

    probabilities: Float[np.ndarray, "samples classes"]
    classes: Sequence[str]
    labels: Int[np.ndarray, " samples"] | None
    threshold: float | None
    patients: Sequence[str | None]


def predicted_classes(
    probabilities: Float[np.ndarray, "samples classes"], threshold: float | None
) -> Int[np.ndarray, " samples"]:
    """Give the class number at the threshold (two classes: positive at and above it), else of the most probable."""
    if threshold is not None and probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= threshold, dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def compute_metrics(  # noqa: PLR0913 - the metrics' whole public surface, everything but the data by keyword
    labels: Int[np.ndarray, " samples"],
    probabilities: Float[np.ndarray, "samples classes"],
    classes: Sequence[str],
    *,
    threshold: float | None,
    patients: Sequence[str | None],
    subgroups: Mapping[str, Sequence[str | None]] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> pa.Table:
    """Measure each class against the rest and `macro`, over all samples and over each value of each subgroup.

    `macro` is the mean over the classes, with three exceptions: its accuracy is the share of samples whose class is
    right, its calibration error rests on the winning probability (two classes: on that of the positive class), and
    its prevalence is null. Brier scores are one against the rest, in [0, 1]. What is not defined, because a side has
    no samples, is null; so is the interval of a single patient.

    Args:
        labels: class numbers, 0 ≤ label < classes.
        probabilities: one column a class.
        classes: names of the classes; of two the last is the positive one.
        threshold: positive at this probability and above, for two classes; none = the most probable class.
        patients: key of each sample's patient, the unit of the bootstrap; null = a patient of its own.
        subgroups: column name to one value a sample.
        bootstrap: resamples of patients; 0 = no intervals.
        seed: of the resamples.

    Returns:
        Rows of `schema.METRICS`.

    Raises:
        LabelError: labels, probabilities, classes or patients that do not fit each other.
    """
    _check(labels, probabilities, classes, patients)
    evaluation = Evaluation(probabilities, classes, labels, threshold, patients)
    rows = list(_rows(evaluation, "all", bootstrap, seed))
    for column, values in (subgroups or {}).items():
        names = np.array(["not given" if value is None else str(value) for value in values])
        for name in sorted(set(names.tolist())):
            rows += _rows(_subset(evaluation, names == name), f"{column}={name}", bootstrap, seed)
    return pa.Table.from_pylist(rows, schema=METRICS)


def _check(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], patients: Sequence[str | None]
) -> None:
    if not len(labels) == len(probabilities) == len(patients):
        sizes = f"{len(labels)} labels, {len(probabilities)} rows of probabilities, {len(patients)} patients"
        raise LabelError(f"metrics need one of each a sample, not {sizes}.")
    if not len(labels):
        raise LabelError("no labelled sample is left to measure.", "Check `split` and the labels' join.")
    if probabilities.shape[1] != len(classes):
        raise LabelError(f"{probabilities.shape[1]} probabilities a sample do not fit {len(classes)} classes.")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise LabelError(f"label numbers must lie in 0 … {len(classes) - 1}, not {labels.min()} … {labels.max()}.")
    outside = ~(np.isfinite(probabilities) & (probabilities >= 0) & (probabilities <= 1)).all(axis=1)
    if outside.any():
        raise LabelError(f"{outside.sum()} samples have probabilities outside 0 … 1.", "Score them again.")


def _subset(evaluation: Evaluation, chosen: Bool[np.ndarray, " samples"]) -> Evaluation:
    assert evaluation.labels is not None
    patients = [patient for patient, keep in zip(evaluation.patients, chosen, strict=True) if keep]
    return Evaluation(
        evaluation.probabilities[chosen],
        evaluation.classes,
        evaluation.labels[chosen],
        evaluation.threshold,
        patients,
    )


def _rows(evaluation: Evaluation, subgroup: str, bootstrap: int, seed: int) -> Iterator[dict[str, object]]:
    views, correct = _views(evaluation)
    numbers = patient_numbers(evaluation.patients)
    samples, patients = len(numbers), int(numbers.max()) + 1
    point = _measure(views, correct, np.ones((1, samples)))[0]
    interval = np.full((2, len(point)), np.nan)
    if bootstrap and patients > 1:
        blocks = resampled_weights(numbers, bootstrap, seed)
        interval = percentile_interval(np.concatenate([_measure(views, correct, block) for block in blocks]))
    interval[:, np.isnan(point)] = np.nan
    names = [(label, metric) for label in (*evaluation.classes, MACRO) for metric in METRIC_NAMES]
    for (label, metric), value, low, high in zip(names, point, *interval, strict=True):
        numbers_of_row = {"value": _null(value), "low": _null(low), "high": _null(high)}
        keys = {"label": label, "subgroup": subgroup, "metric": metric}
        yield {**keys, **numbers_of_row, "samples": samples, "patients": patients}


def _null(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _views(evaluation: Evaluation) -> tuple[list[ClassView], Float64[np.ndarray, "samples columns"]]:
    """Prepare each class, and the columns of macro accuracy (first) and macro calibration (the rest)."""
    labels, probabilities = evaluation.labels, evaluation.probabilities
    assert labels is not None
    predicted = predicted_classes(probabilities, evaluation.threshold)
    views = [
        view_class(labels == number, probabilities[:, number], predicted == number)
        for number in range(len(evaluation.classes))
    ]
    if len(evaluation.classes) == 2:
        gaps = calibration_gaps(labels == 1, probabilities[:, 1])
    else:
        gaps = calibration_gaps(labels == probabilities.argmax(axis=1), probabilities.max(axis=1))
    return views, np.column_stack([predicted == labels, gaps])


def _measure(
    views: list[ClassView],
    correct: Float64[np.ndarray, "samples columns"],
    weights: Float64[np.ndarray, "resamples samples"],
) -> Float64[np.ndarray, "resamples values"]:
    """Give the metrics of each class and of macro, side by side."""
    classes = np.stack([class_metrics(view, weights) for view in views])
    macro = classes.mean(axis=0)
    sums, total = weights @ correct, weights.sum(axis=1)
    macro[:, _ACCURACY] = ratio(sums[:, 0], total)
    macro[:, _CALIBRATION] = ratio(np.abs(sums[:, 1:]).sum(axis=1), total)
    macro[:, _PREVALENCE] = np.nan
    return np.concatenate([*classes, macro], axis=1)
