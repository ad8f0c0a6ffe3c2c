"""medray/samples/device_slic.py: the labels of the compiled kernel."""

import numpy as np
import pytest
import torch

from medray.graphs.blur_kernels import blur
from medray.graphs.plan import plan_slic
from medray.graphs.run_kernels import running_sums
from medray.graphs.slic_kernels import slic
from medray.graphs.texture import EVERYWHERE, gaussian
from medray.image_settings import GraphRecipe
from medray.samples.device_slic import blur_on, slic_on
from tests.graphs.ellipses import ellipses


def images(size, count, noise=0.1):
    return np.stack([ellipses(size, seed, noise)[0] for seed in range(count)])


def by_kernel(plane, plan):
    image, labels = np.array(plane)[None], np.empty(plane.shape, np.int32)
    slic((image, running_sums(image), EVERYWHERE), plan.grid, plan.weight, plan.sweeps, plan.stride, labels)
    return labels


@pytest.mark.parametrize(("sigma", "rows", "columns"), [(1.0, 40, 60), (0.4, 7, 9), (6.9, 15, 11), (2.0, 1, 30)])
def test_blur_is_the_kernels_bit_for_bit(sigma, rows, columns):
    planes = np.random.default_rng(0).normal(size=(3, rows, columns)).astype(np.float32)
    found = blur_on(torch.from_numpy(planes), gaussian(sigma)).numpy()
    for plane, ours in zip(planes, found, strict=True):
        wanted = np.empty_like(plane)
        blur(plane, gaussian(sigma), wanted)
        assert np.array_equal(ours, wanted)


@pytest.mark.parametrize("compactness", [0.3, 0.1])
@pytest.mark.parametrize(("rows", "columns", "regions"), [(28, 28, 81), (64, 64, 30), (90, 41, 50), (20, 90, 7)])
def test_labels_are_the_kernels(rows, columns, regions, compactness):
    planes = images(90, 4)[:, :rows, :columns]
    plan = plan_slic(rows, columns, GraphRecipe(regions=regions, compactness=compactness))
    found = slic_on(torch.from_numpy(planes), plan).numpy()
    assert np.array_equal(found, np.stack([by_kernel(plane, plan) for plane in planes]))


def test_centres_that_have_moved_over_cells_keep_their_pixels():
    planes = np.random.default_rng(0).normal(size=(3, 48, 48)).astype(np.float32)
    plan = plan_slic(48, 48, GraphRecipe(regions=64, compactness=0.005, iterations=20))
    found = slic_on(torch.from_numpy(planes), plan).numpy()
    assert np.array_equal(found, np.stack([by_kernel(plane, plan) for plane in planes]))
    assert np.abs(found // 8 - np.arange(48)[:, None] // 6).max() == 4  # cells between a pixel's own and its centre's


def test_ties_go_to_the_first_centre_as_in_the_kernel():
    planes = np.zeros((2, 36, 48), np.float32)
    planes[1, :, 24:] = 1
    plan = plan_slic(36, 48, GraphRecipe(regions=12))
    found = slic_on(torch.from_numpy(planes), plan).numpy()
    assert np.array_equal(found, np.stack([by_kernel(plane, plan) for plane in planes]))


def test_an_image_has_the_same_labels_in_any_batch():
    planes, plan = torch.from_numpy(images(48, 4)), plan_slic(48, 48, GraphRecipe(regions=20))
    assert torch.equal(slic_on(planes, plan)[2:3], slic_on(planes[2:3], plan))
