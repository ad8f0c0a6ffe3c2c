import numpy as np
import pytest

from medray.reports.bootstrap import patient_numbers, percentile_interval, resampled_weights
from medray.reports.metrics import compute_metrics
from tests.reports.test_metrics import look_up


def test_images_of_one_patient_are_drawn_together() -> None:
    numbers = patient_numbers(["b", "a", "b", "c", "a"])
    weights = np.concatenate(list(resampled_weights(numbers, 500, seed=0)))
    assert weights.shape == (500, 5)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 2])
    np.testing.assert_array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_unknown_patients_are_patients_of_their_own() -> None:
    assert len(set(patient_numbers([None, "a", None, "a"]).tolist())) == 3


def test_patients_count_and_not_rows_when_images_repeat() -> None:
    """Each patient has 20 equal images: rows pretend to 20 times the data, an interval √20 = 4.5 times narrower."""
    generator = np.random.default_rng(3)
    labels = np.repeat(generator.integers(0, 2, 60), 20)
    positive = np.repeat(np.clip(generator.normal(0.5, 0.15, 60), 0, 1), 20) * 0.8 + 0.2 * labels
    probabilities = np.stack([1 - positive, positive], axis=1)
    widths = {}
    for unit, patients in {"patient": np.repeat(np.arange(60), 20), "row": np.arange(1200)}.items():
        keys = [str(patient) for patient in patients]
        table = compute_metrics(labels, probabilities, ["no", "yes"], threshold=0.5, patients=keys, bootstrap=500)
        row = look_up(table, "yes", "auroc")
        widths[unit] = row["high"] - row["low"]
    assert 3.5 < widths["patient"] / widths["row"] < 6


def test_nineteen_of_twenty_intervals_cover_the_known_accuracy() -> None:
    """The truth is 0.8 with two images a patient; 95 % nominal over 200 experiments allows 0.90 … 0.99."""
    generator, covered = np.random.default_rng(0), 0
    patients = [str(patient) for patient in np.repeat(np.arange(120), 2)]
    for _ in range(200):
        labels = np.repeat(generator.integers(0, 2, 120), 2)
        said = np.where(np.repeat(generator.random(120) < 0.8, 2), labels, 1 - labels)
        table = compute_metrics(
            labels, np.eye(2)[said], ["no", "yes"], threshold=None, patients=patients, bootstrap=200, seed=1
        )
        row = look_up(table, "macro", "accuracy")
        covered += row["low"] <= 0.8 <= row["high"]
    assert 180 <= covered <= 198


def test_resamples_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = patient_numbers([str(row % 7) for row in range(20)])
    whole = np.concatenate(list(resampled_weights(numbers, 30, seed=5)))
    monkeypatch.setattr("medray.reports.bootstrap._CELLS", 40)
    np.testing.assert_array_equal(np.concatenate(list(resampled_weights(numbers, 30, seed=5))), whole)


def test_an_interval_that_most_resamples_do_not_define_is_nan() -> None:
    values = np.array([[np.nan, 1.0], [np.nan, 2.0], [3.0, np.nan]])
    low, high = percentile_interval(values)
    assert np.isnan(low[0])
    assert np.isnan(high[0])
    assert 1 <= low[1] <= high[1] <= 2
