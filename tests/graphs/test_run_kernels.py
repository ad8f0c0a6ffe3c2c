"""medray/graphs/run_kernels.py."""

import numpy as np
import pytest

from medray.graphs.run_kernels import find_runs


@pytest.mark.parametrize("columns", [1, 2, 8, 9, 17, 64])
def test_runs_are_the_stretches_of_one_label_in_each_row(columns: int) -> None:
    labels = np.random.default_rng(columns).integers(-1, 2, (5, columns)).astype(np.int32)
    starts, first = find_runs(labels)
    begins = np.ones((5, columns), bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    assert starts.tolist() == [*np.flatnonzero(begins), labels.size]
    assert first.tolist() == [0, *np.cumsum(begins.sum(axis=1))]
