"""medray/scoring/mask_choice.py."""

import numpy as np

from medray.scoring.mask_choice import choose_masks


def test_the_worst_the_median_and_the_best_are_shown_once_each() -> None:
    dice = np.array([0.5, np.nan, 0.9, 0.1, 0.7, 0.3, 0.8])
    assert choose_masks(dice, 3) == [(3, "worst"), (0, "median"), (2, "best")]
    picked = choose_masks(dice, 12)
    assert [row for row, _ in picked] == [3, 5, 0, 4, 6, 2]
    assert [why for _, why in picked] == ["worst"] * 2 + ["median"] * 2 + ["best"] * 2


def test_fewer_samples_than_wanted_are_all_shown_and_none_is_nothing() -> None:
    assert [row for row, _ in choose_masks(np.array([0.2]), 12)] == [0]
    assert choose_masks(np.array([0.2, 0.9]), 1) == [(0, "worst")]
    assert choose_masks(np.array([np.nan]), 5) == [] and choose_masks(np.empty(0), 5) == []
