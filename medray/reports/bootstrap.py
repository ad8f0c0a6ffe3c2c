"""Resample patients, not rows: images of one patient are no independent observations."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64, Int

_CELLS = 1_000_000  # weights held at once: 8 MB, so that a block stays near the cache however many samples there are


def patient_numbers(patients: Sequence[str | None]) -> Int[np.ndarray, " samples"]:
    """Number patients 0, 1, … in the order of their keys, so that the order of rows changes nothing.

    A sample whose patient is not known (null) is a patient of its own.
    """
    known = [("known", key) if key is not None else ("row", f"{row:012d}") for row, key in enumerate(patients)]
    numbers = {key: number for number, key in enumerate(sorted(set(known)))}
    return np.array([numbers[key] for key in known], dtype=np.int64)


def resampled_weights(
    numbers: Int[np.ndarray, " samples"], resamples: int, seed: int
) -> Iterator[Float64[np.ndarray, "block samples"]]:
    """Yield blocks of row weights: how often each row's patient was drawn, with replacement, as often as there are any.

    Every resample draws as many patients as there are. The draws depend on the seed and the number of patients only.
    """
    generator = np.random.default_rng(seed)
    patients = int(numbers.max()) + 1
    block = max(1, _CELLS // max(len(numbers), patients))
    for first in range(0, resamples, block):
        count = min(block, resamples - first)
        drawn = [np.bincount(generator.integers(0, patients, patients), minlength=patients) for _ in range(count)]
        yield np.stack(drawn).astype(np.float64)[:, numbers]


def percentile_interval(
    values: Float64[np.ndarray, "resamples metrics"], level: float = 0.95
) -> Float64[np.ndarray, "2 metrics"]:
    """Give the percentile interval of each column; NaN where it is undefined in more than half of the resamples."""
    tails = [(1 - level) / 2 * 100, (1 + level) / 2 * 100]
    interval = np.full((2, values.shape[1]), np.nan)
    for column, sample in enumerate(values.T):
        defined = sample[~np.isnan(sample)]
        if len(defined) and 2 * len(defined) >= len(sample):
            interval[:, column] = np.percentile(defined, tails)
    return interval
