"""medray/graphs/volume_slic_kernels.py."""

import numpy as np
from scipy import ndimage

from medray.graphs.texture import gaussian
from medray.graphs.volume_slic_kernels import blur_columns, blur_lines, supervoxels
from tests.graphs.volumes_by_hand import spheres

EVERYTHING = np.empty((0, 0, 0), np.bool_)


def test_blurs_are_scipys_along_each_axis() -> None:
    volume, weights = spheres((9, 10, 11), (1, 1, 1))[0], gaussian(1.3)
    radius = len(weights) - 1
    for axis, shape in ((0, (1, 9, 110)), (1, (9, 10, 11)), (2, (90, 11))):
        lines = volume.reshape(shape)
        out = np.empty_like(lines)
        (blur_columns if axis == 2 else blur_lines)(lines, weights, out)
        wanted = ndimage.gaussian_filter1d(volume.astype(float), 1.3, axis, mode="nearest", radius=radius)
        np.testing.assert_allclose(out.reshape(volume.shape), wanted, atol=2e-6)


def test_after_one_sweep_each_real_voxel_has_the_nearest_first_centre_in_mm() -> None:
    spacing = np.array([3.0, 1.0, 0.5])
    volume, truth = spheres((6, 16, 30), spacing)
    real = truth != 2
    real[0, 3, 4] = False  # the middle of the first cell
    weights = (0.02 * spacing**2).astype(np.float32)
    labels = np.empty(volume.shape, np.int32)
    supervoxels(volume, real, (np.array([2, 2, 3]), weights), 1, 1, labels)
    places, distances = np.mgrid[:6, :16, :30], []
    for number in range(12):
        centre = np.array([number // 6 * 3 + 1, number // 3 % 2 * 8 + 3.5, number % 3 * 10 + 4.5])
        at = tuple((centre + 0.5).astype(int))
        apart = np.abs(places - centre[:, None, None, None])
        near = (apart <= np.array([3.75, 10, 12.5])[:, None, None, None]).all(axis=0) & bool(real[at])
        far = (volume - volume[at]) ** 2 + np.tensordot(0.02 * spacing**2, apart**2, 1)
        distances.append(np.where(near, far, np.inf))
    assert np.mean(np.argmin(distances, axis=0)[real] == labels[real]) > 0.999
    assert (labels[~real] == -1).all()


def test_many_sweeps_come_to_rest_on_two_halves() -> None:
    volume = np.zeros((20, 6, 6), np.float32)
    volume[13:] = 5
    labels = np.empty(volume.shape, np.int32)
    plan = (np.array([2, 1, 1]), np.full(3, 0.001, np.float32))
    supervoxels(volume, EVERYTHING, plan, 10, 1, labels)
    assert np.array_equal(labels, np.repeat([0, 1], [13, 7])[:, None, None] * np.ones((1, 6, 6), int))
