import numpy as np
import pytest
from sklearn import calibration, metrics

from medray.reports import curves
from medray.reports.metrics import Evaluation
from tests.reports.test_metrics import scored


def test_roc_passes_through_scikit_learns_points() -> None:
    labels, probabilities = scored(300, 2)
    ours = curves.roc_curve(labels == 1, probabilities[:, 1])
    x, y, thresholds = metrics.roc_curve(labels, probabilities[:, 1], drop_intermediate=False)
    np.testing.assert_allclose([ours.x, ours.y], [x, y], atol=1e-12)
    np.testing.assert_allclose(ours.thresholds[1:], thresholds[1:])


def test_precision_recall_passes_through_scikit_learns_points() -> None:
    labels, probabilities = scored(300, 2)
    ours = curves.precision_recall_curve(labels == 1, probabilities[:, 1])
    precision, recall, _ = metrics.precision_recall_curve(labels, probabilities[:, 1])
    np.testing.assert_allclose(ours.x[1:], recall[:-1][::-1], atol=1e-12)
    np.testing.assert_allclose(ours.y[1:], precision[:-1][::-1], atol=1e-12)


def test_one_class_alone_has_no_curve() -> None:
    assert curves.roc_curve(np.ones(5, dtype=bool), np.linspace(0, 1, 5)) is None
    assert curves.precision_recall_curve(np.zeros(5, dtype=bool), np.linspace(0, 1, 5)) is None


def test_calibration_bins_equal_scikit_learns() -> None:
    labels, probabilities = scored(500, 2, decimals=6)
    ours = curves.calibration_bins(labels == 1, probabilities[:, 1], bins=10)
    observed, mean = calibration.calibration_curve(labels, probabilities[:, 1], n_bins=10)
    filled = ours.counts > 0
    np.testing.assert_allclose([ours.observed[filled], ours.mean_probability[filled]], [observed, mean], atol=1e-12)
    assert ours.counts.sum() == 500


def test_confusion_equals_scikit_learns() -> None:
    labels, probabilities = scored(200, 4)
    predicted = probabilities.argmax(axis=1)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(4))
    np.testing.assert_array_equal(curves.confusion(labels, predicted, 4), expected)


def test_a_histogram_loses_no_sample_not_even_at_one() -> None:
    counts = curves.score_histogram(np.array([0, 0, 1]), np.array([0.0, 1.0, 0.5]), count=2, bins=4)
    np.testing.assert_array_equal(counts, [[1, 0, 0, 1], [0, 0, 1, 0]])


def test_wilson_gives_the_textbook_interval_for_eight_of_ten() -> None:
    """Agresti and Coull 1998: 0.490 to 0.943."""
    low, high = curves.wilson_interval(np.array([0.8]), np.array([10]))
    assert (low[0], high[0]) == (pytest.approx(0.490, abs=5e-4), pytest.approx(0.943, abs=5e-4))


def test_sides_by_threshold_count_what_lies_at_and_above() -> None:
    positive, probability = np.array([True, True, False, False]), np.array([0.5, 0.9, 0.5, 0.1])
    sensitivity, specificity = curves.sides_by_threshold(positive, probability, np.array([0.0, 0.5, 0.6, 1.0]))
    np.testing.assert_allclose(sensitivity, [1, 1, 0.5, 0])
    np.testing.assert_allclose(specificity, [0, 0.5, 1, 1])


def test_kept_by_threshold_counts_what_lies_at_and_above() -> None:
    right, probability = np.array([True, False, True, True]), np.array([0.5, 0.5, 0.7, 0.9])
    kept, correct = curves.kept_by_threshold(right, probability, np.array([0.0, 0.6, 0.95]))
    np.testing.assert_allclose(kept, [1, 0.5, 0])
    np.testing.assert_allclose(correct, [0.75, 1, np.nan])


def test_the_roc_band_holds_the_curve() -> None:
    labels, probabilities = scored(400, 2, decimals=8)
    evaluation = Evaluation(probabilities, ["a", "b"], labels, None, [str(row // 2) for row in range(400)])
    grid = np.linspace(0.05, 0.95, 19)
    low, high = curves.roc_band(evaluation, 1, grid=grid)
    curve = curves.roc_curve(labels == 1, probabilities[:, 1])
    inside = np.interp(grid, curve.x, curve.y)
    assert (low <= inside + 1e-9).all()
    assert (inside <= high + 1e-9).all()
