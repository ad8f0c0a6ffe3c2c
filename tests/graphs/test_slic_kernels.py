"""medray/graphs/slic_kernels.py."""

import numpy as np
import pytest
from scipy import ndimage

from medray.graphs.blur_kernels import blur
from medray.graphs.run_kernels import running_sums
from medray.graphs.slic_kernels import slic
from medray.graphs.texture import EVERYWHERE, gaussian
from tests.graphs.ellipses import ellipses


@pytest.mark.parametrize(("sigma", "shape"), [(1.0, (40, 60)), (0.4, (7, 9)), (6.9, (15, 11)), (2.0, (1, 30))])
def test_blur_is_scipys_with_the_same_radius(sigma: float, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    out = np.empty_like(image)
    blur(image, gaussian(sigma), out)
    radius = len(gaussian(sigma)) - 1
    wanted = ndimage.gaussian_filter(image.astype(float), sigma, mode="nearest", radius=radius)
    np.testing.assert_allclose(out, wanted, atol=2e-6)


def test_after_one_sweep_each_pixel_has_the_nearest_first_centre() -> None:
    image = ellipses(40, 0)[0]
    labels = np.empty((40, 40), np.int32)
    weight = np.float32(0.02)
    slic((image[None], running_sums(image[None]), EVERYWHERE), (4, 5), weight, 1, 1, labels)
    rows, columns = np.mgrid[:40, :40]
    distances = []
    for number in range(20):
        row, column = number // 5 * 10 + 4.5, number % 5 * 8 + 3.5
        value = image[int(row + 0.5), int(column + 0.5)]
        near = (np.abs(rows - row) <= 12.5) & (np.abs(columns - column) <= 10)
        apart = (image - value) ** 2 + weight * ((rows - row) ** 2 + (columns - column) ** 2)
        distances.append(np.where(near, apart, np.inf))
    assert np.mean(np.argmin(distances, axis=0) == labels) > 0.999


def test_many_sweeps_come_to_rest_on_two_halves() -> None:
    image = np.zeros((20, 20), np.float32)
    image[:, 13:] = 5
    labels = np.empty((20, 20), np.int32)
    slic((image[None], running_sums(image[None]), EVERYWHERE), (1, 2), np.float32(0.001), 10, 1, labels)
    assert np.array_equal(labels, np.repeat([[0] * 13 + [1] * 7], 20, axis=0))
