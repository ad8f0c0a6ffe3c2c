"""medray/samples/device_connectivity.py: the regions of the compiled kernel, number by number."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.graphs.connectivity_kernels import connect
from medray.graphs.run_kernels import running_sums
from medray.samples.device_connectivity import connect_on


def by_kernel(planes, labels, smallest):
    found = labels.astype(np.int32)
    for plane, label in zip(planes, found, strict=True):
        connect(running_sums(plane[None]), label, smallest)
    return found


def on_device(planes, labels, smallest):
    return connect_on(torch.from_numpy(planes), torch.from_numpy(labels), smallest).numpy()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 24), st.integers(1, 24), st.integers(1, 6), st.integers(1, 60), st.integers(0, 99)
)
def test_random_labels_become_the_kernels_regions(batch, rows, columns, names, smallest, seed):
    drawn = np.random.default_rng(seed)
    labels = drawn.integers(0, names, (batch, rows, columns))
    planes = drawn.normal(size=(batch, rows, columns)).astype(np.float32)
    assert np.array_equal(on_device(planes, labels, smallest), by_kernel(planes, labels, smallest))


@pytest.mark.parametrize("smallest", [1, 30])
def test_winding_regions_stay_whole(smallest):
    spiral = np.zeros((1, 41, 41), np.int64)
    row, column, step = 20, 20, (0, 1)
    for length in range(2, 40, 2):
        for _ in range(2):
            for _ in range(length):
                spiral[0, row, column] = 1
                row, column = row + step[0], column + step[1]
            step = (step[1], -step[0])
    planes = np.random.default_rng(1).normal(size=spiral.shape).astype(np.float32)
    found = on_device(planes, spiral, smallest)
    assert np.array_equal(found, by_kernel(planes, spiral, smallest)) and found.max() == 1


def test_equally_near_neighbours_are_taken_in_the_order_of_their_numbers():
    labels = np.array([[[0, 0, 0, 1, 2, 2, 2], [0, 0, 0, 3, 2, 2, 2]]])
    planes = np.zeros((1, 2, 7), np.float32)
    assert on_device(planes, labels, 4).tolist() == [[[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1]]]


def test_small_pieces_join_in_many_rounds_as_in_the_kernel():
    labels = np.arange(400).reshape(1, 20, 20)
    planes = np.random.default_rng(2).normal(size=(1, 20, 20)).astype(np.float32)
    found = on_device(planes, labels, 60)
    assert np.array_equal(found, by_kernel(planes, labels, 60)) and np.bincount(found.ravel()).min() >= 60
