"""medray/samples/device_sums.py."""

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from medray.samples.device_sums import Groups, lowest_connected, numbered


def test_groups_are_reduced_as_numpy_reduces_them():
    drawn = np.random.default_rng(0)
    of_row, values = drawn.integers(0, 40, 200), drawn.normal(size=(200, 3))
    of_row[of_row == 7] = 8  # a group without rows
    groups = Groups(torch.from_numpy(of_row), 40)
    wanted = np.array([values[of_row == k].sum(0) for k in range(40)])
    np.testing.assert_allclose(groups.reduce(torch.from_numpy(values)).numpy(), wanted, rtol=1e-12, atol=1e-12)
    low, high = (groups.reduce(torch.from_numpy(values), how).numpy() for how in ("min", "max"))
    assert np.all(low[7] == np.inf) and np.all(high[7] == -np.inf)
    assert np.array_equal(low[3], values[of_row == 3].min(0)) and np.array_equal(high[3], values[of_row == 3].max(0))


def test_a_sum_keeps_the_order_of_its_rows():
    values = torch.tensor([1e16, 1.0, -1e16, 1.0], dtype=torch.float64)[:, None]
    assert Groups(torch.zeros(4, dtype=torch.int64), 1).reduce(values).item() == 1  # ((1e16 + 1) - 1e16) + 1
    order = torch.tensor([0, 2, 1, 3])
    assert Groups(torch.zeros(4, dtype=torch.int64), 1).reduce(values[order]).item() == 2


@pytest.mark.parametrize("pairs", [0, 50, 150, 400])
def test_components_are_scipys(pairs):
    one, other = np.random.default_rng(pairs).integers(0, 200, (2, pairs))
    lowest = lowest_connected(200, torch.from_numpy(one), torch.from_numpy(other))
    count, labels = connected_components(coo_matrix((np.ones(pairs), (one, other)), (200, 200)), directed=False)
    wanted = [np.flatnonzero(labels == label)[0] for label in labels]
    assert lowest.tolist() == wanted
    numbers, found = numbered(lowest)
    assert found == count and np.array_equal(numbers.numpy()[one], numbers.numpy()[other])


@pytest.mark.parametrize("seed", range(3))
def test_a_long_way_is_one_component_whatever_the_order_of_its_members(seed):
    way = torch.from_numpy(np.random.default_rng(seed).permutation(5000))
    assert not lowest_connected(5000, way[1:], way[:-1]).any()
