"""medray/training/summary.py."""

import pytest
from scipy import stats

from medray.training.summary import mean_interval


def test_three_seeds_reach_over_2_48_standard_deviations() -> None:
    # t(0.975, 2 degrees of freedom) = 4.3027; the standard deviation of 0.84, 0.85, 0.86 is 0.01
    interval = mean_interval([0.84, 0.85, 0.86])
    assert interval.mean == pytest.approx(0.85)
    assert interval.low == pytest.approx(0.85 - 4.3027 * 0.01 / 3**0.5, abs=1e-6)


def test_the_interval_is_scipys() -> None:
    values = [0.3, 0.5, 0.9, 0.45]
    interval = mean_interval(values, 0.9)
    expected = stats.t.interval(0.9, 3, loc=stats.tmean(values), scale=stats.sem(values))
    assert (interval.low, interval.high) == pytest.approx(expected)


def test_one_seed_has_no_interval() -> None:
    interval = mean_interval([0.7])
    assert (interval.mean, interval.low, interval.high, interval.count) == (0.7, None, None, 1)


def test_no_seed_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_interval([])
