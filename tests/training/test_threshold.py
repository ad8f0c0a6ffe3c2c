"""medray/training/threshold.py."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from medray.training.threshold import youden_threshold


def test_separable_classes_are_cut_in_the_middle_of_the_gap() -> None:
    assert youden_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])) == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_of_the_roc_curve_is_better(seed: int) -> None:
    drawn = np.random.default_rng(seed)
    labels = drawn.integers(2, size=200)
    probabilities = np.round(drawn.normal(labels, 1.5), 1)
    threshold = youden_threshold(labels, probabilities)
    assert threshold is not None
    sensitivity = (probabilities[labels == 1] >= threshold).mean()
    specificity = (probabilities[labels == 0] < threshold).mean()
    false_positive, true_positive, _ = roc_curve(labels, probabilities, drop_intermediate=False)
    assert sensitivity + specificity - 1 == pytest.approx((true_positive - false_positive).max())


def test_doubling_one_class_does_not_move_it() -> None:
    labels, probabilities = np.array([0, 1, 0, 1, 1]), np.array([0.2, 0.3, 0.4, 0.6, 0.9])
    doubled = np.concatenate([labels, labels[labels == 0]]), np.concatenate([probabilities, probabilities[labels == 0]])
    assert youden_threshold(*doubled) == youden_threshold(labels, probabilities)


def test_one_class_alone_has_no_threshold() -> None:
    assert youden_threshold(np.array([1, 1]), np.array([0.2, 0.4])) is None
