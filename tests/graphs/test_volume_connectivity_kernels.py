"""medray/graphs/volume_connectivity_kernels.py."""

import numpy as np
from scipy import ndimage

from medray.graphs.volume_connectivity_kernels import connect_volume


def connected(volume: np.ndarray, labels: np.ndarray, smallest: int) -> np.ndarray:
    labels = labels.astype(np.int32)
    count = connect_volume(volume.astype(np.float32), labels, smallest)
    assert count == labels.max() + 1
    return labels


def test_pieces_are_those_of_scipy_and_what_is_no_region_stays() -> None:
    drawn = np.random.default_rng(0).integers(-1, 2, (9, 20, 30))
    ours = connected(np.zeros(drawn.shape), drawn, 1)
    pieces = np.full(drawn.shape, -1)
    for label in range(2):
        found = ndimage.label(drawn == label)[0]
        pieces = np.where(found > 0, found + pieces.max(), pieces)
    pairs = np.unique(np.stack([ours.ravel(), pieces.ravel()]), axis=1)
    assert pairs.shape[1] == ours.max() + 2 == len(np.unique(pieces))
    assert np.array_equal(ours < 0, drawn < 0)


def test_numbers_go_in_the_order_of_first_voxels() -> None:
    ours = connected(np.zeros((6, 12, 13)), np.random.default_rng(1).integers(-1, 3, (6, 12, 13)), 4)
    first = [int(np.argmax(ours.ravel() == k)) for k in range(ours.max() + 1)]
    assert first == sorted(first)


def test_the_last_row_of_a_slice_does_not_touch_the_first_of_the_next() -> None:
    labels = np.zeros((2, 3, 4), int)
    labels[0, 2] = labels[1, 0] = 1
    assert connected(np.zeros(labels.shape), labels, 1).max() + 1 == 3


def test_a_small_piece_joins_the_neighbour_with_the_nearest_mean_across_slices_too() -> None:
    labels = np.repeat([0, 1, 2], [3, 1, 3])[:, None, None] * np.ones((1, 2, 2), int)
    volume = np.repeat([0, 6, 10], [3, 1, 3])[:, None, None] * np.ones((1, 2, 2))
    assert connected(volume, labels, 5)[:, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert connected(volume, labels, 4)[:, 0, 0].tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_nothing_is_smaller_than_asked_for_unless_it_stands_alone() -> None:
    drawn = np.random.default_rng(2)
    labels = drawn.integers(0, 50, (8, 24, 24))
    labels[:2, :2, :2] = -1
    labels[0, 0, 0] = 7
    ours = connected(drawn.normal(size=labels.shape), labels, 20)
    sizes = np.bincount(ours[ours >= 0])
    assert sizes[0] == 1 and ours[0, 0, 0] == 0 and sizes[1:].min() >= 20
    assert all(ndimage.label(ours == k)[1] == 1 for k in range(ours.max() + 1))
