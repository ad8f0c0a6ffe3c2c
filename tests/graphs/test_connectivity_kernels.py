"""medray/graphs/connectivity_kernels.py."""

import numpy as np
from scipy import ndimage

from medray.graphs.connectivity_kernels import connect
from medray.graphs.run_kernels import running_sums


def connected(image: np.ndarray, labels: np.ndarray, smallest: int) -> np.ndarray:
    labels = labels.astype(np.int32)
    count = connect(running_sums(image.astype(np.float32)[None]), labels, smallest)
    assert count == labels.max() + 1
    return labels


def test_pieces_are_those_of_scipy_where_none_is_small() -> None:
    drawn = np.random.default_rng(0).integers(0, 3, (40, 50))
    ours = connected(np.zeros((40, 50)), drawn, 1)
    pieces = np.zeros((40, 50), int)
    for label in range(3):
        found = ndimage.label(drawn == label)[0]
        pieces += np.where(found > 0, found + pieces.max(), 0)
    pairs = np.unique(np.stack([ours.ravel(), pieces.ravel()]), axis=1)
    assert pairs.shape[1] == ours.max() + 1 == len(np.unique(pieces))


def test_numbers_go_in_the_order_of_first_pixels() -> None:
    ours = connected(np.zeros((30, 30)), np.random.default_rng(1).integers(0, 4, (30, 30)), 5)
    first = [int(np.argmax(ours.ravel() == k)) for k in range(ours.max() + 1)]
    assert first == sorted(first)


def test_a_small_piece_joins_the_neighbour_with_the_nearest_mean() -> None:
    labels = np.repeat([[0, 0, 0, 1, 2, 2, 2]], 3, axis=0)
    image = np.repeat([[0, 0, 0, 6, 10, 10, 10]], 3, axis=0)
    assert connected(image, labels, 4)[0].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert connected(image * -1, labels, 3)[0].tolist() == [0, 0, 0, 1, 2, 2, 2]


def test_nothing_is_smaller_than_asked_for_even_from_noise() -> None:
    drawn = np.random.default_rng(2)
    ours = connected(drawn.normal(size=(64, 64)), drawn.integers(0, 50, (64, 64)), 20)
    assert np.bincount(ours.ravel()).min() >= 20
    assert all(ndimage.label(ours == k)[1] == 1 for k in range(ours.max() + 1))


def test_large_pieces_are_never_joined() -> None:
    labels = np.kron(np.arange(9).reshape(3, 3), np.ones((6, 6), int))
    labels[5:8, 5:8] = 9
    assert connected(np.zeros((18, 18)), labels, 10).max() == 8


def test_an_image_smaller_than_the_smallest_piece_is_one_region() -> None:
    assert connected(np.zeros((2, 2)), np.arange(4).reshape(2, 2), 10).tolist() == [[0, 0], [0, 0]]


def test_what_is_outside_a_mask_stays_and_joins_nothing() -> None:
    labels = np.repeat([[-1, -1, 0, 1, 1, -1, 2]], 2, axis=0).astype(np.int32)
    image = np.zeros((1, 2, 7), np.float32)
    assert connect(running_sums(image), labels, 4) == 2
    assert labels[0].tolist() == [-1, -1, 0, 0, 0, -1, 1]
