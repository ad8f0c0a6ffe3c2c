"""medray/pixels/overlap.py, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from medray.pixels.overlap import accuracy_of, confusion_of, dice_of

DRAW = np.random.default_rng(0)
TRUTH, ANSWERS = (DRAW.integers(-1, 4, (50, 60)).astype(np.int16) for _ in range(2))


def test_confusion_accuracy_and_dice_are_scikit_learns_over_the_pixels_that_count() -> None:
    """A pixel without an answer is wrong: to scikit-learn, a class of its own that nothing is."""
    truth, answers = TRUTH[TRUTH >= 0], np.where(ANSWERS < 0, 4, ANSWERS)[TRUTH >= 0]
    confusion = confusion_of(TRUTH, ANSWERS, 4)
    assert np.array_equal(confusion, confusion_matrix(truth, answers)[:4])
    assert accuracy_of(confusion) == pytest.approx(accuracy_score(truth, answers))
    np.testing.assert_allclose(dice_of(confusion), f1_score(truth, answers, average=None)[:4])


def test_what_is_nowhere_has_no_dice_and_nothing_no_accuracy() -> None:
    confusion = confusion_of(np.zeros((2, 2), np.int16), np.zeros((2, 2), np.int16), 2)
    assert dice_of(confusion).tolist()[0] == 1 and np.isnan(dice_of(confusion)[1])
    assert np.isnan(accuracy_of(confusion_of(np.full((2, 2), -1, np.int16), np.zeros((2, 2), np.int16), 2)))
