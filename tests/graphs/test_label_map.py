"""medray/graphs/label_map.py: masks."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from medray.errors import SampleError
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.features import STATISTICS
from medray.graphs.region_graph import RegionGraph
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

RECIPE = GraphRecipe(regions=60, texture=True, lbp=True, position=True)
BUILDERS = ("superpixel", "grid", "knn", "multiscale")


def disc(size: int) -> np.ndarray:
    """A round field of view with a hole and an island of three pixels."""
    rows, columns = np.mgrid[:size, :size] - size // 2
    mask = (np.hypot(rows, columns) < 0.4 * size) & (np.hypot(rows + 9, columns) > 6)
    mask[2, 2:5] = True
    return mask


def same(one: RegionGraph, other: RegionGraph) -> bool:
    return all(getattr(one, n).tobytes() == getattr(other, n).tobytes() for n in vars(one))


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_rectangular_mask_equals_cropping_to_it(builder: str, channels: int) -> None:
    recipe = replace(RECIPE, builder=builder)
    image = np.stack([ellipses(70, k)[0] for k in range(channels)])
    mask = np.zeros((70, 70), bool)
    mask[5:50, 8:68] = True
    assert same(build_region_graph(image, recipe, mask), build_region_graph(image[:, 5:50, 8:68], recipe))
    labels = superpixel_labels(image, recipe, mask)
    assert np.array_equal(labels[5:50, 8:68], superpixel_labels(image[:, 5:50, 8:68], recipe))
    assert np.all(labels[~mask] == -1)


@pytest.mark.parametrize("builder", BUILDERS)
def test_what_lies_outside_a_mask_changes_nothing(builder: str) -> None:
    recipe, image, mask = replace(RECIPE, builder=builder), ellipses(80, 1)[0][None], disc(80)
    other = np.where(mask, image, np.float32(np.nan))
    assert same(build_region_graph(image, recipe, mask), build_region_graph(other, recipe, mask))
    everything = np.ones((80, 80), bool)
    assert same(build_region_graph(image, recipe, everything), build_region_graph(image, recipe))


@pytest.mark.parametrize("builder", BUILDERS)
def test_regions_fill_the_mask_and_none_reaches_over_it(builder: str) -> None:
    image, mask = ellipses(80, 2)[0][None], disc(80)
    labels = superpixel_labels(image, replace(RECIPE, builder=builder), mask)
    assert np.array_equal(labels >= 0, mask)
    assert all(ndimage.label(labels == region)[1] == 1 for region in range(labels.max() + 1))
    assert labels.max() + 1 == pytest.approx(60, rel=0.2)
    sizes = np.sort(np.bincount(labels[mask]))
    assert sizes[0] == 3 and sizes[1] >= 0.25 * mask.sum() / 75


def test_features_under_a_mask_are_those_of_its_pixels() -> None:
    image, mask = ellipses(60, 3)[0], disc(60)
    graph, labels = build_region_graph(image[None], RECIPE, mask), superpixel_labels(image[None], RECIPE, mask)
    x = dict(zip(STATISTICS, graph.x.T, strict=False))
    regions = np.arange(labels.max() + 1)
    for name, function in (("mean", ndimage.mean), ("std", ndimage.standard_deviation), ("max", ndimage.maximum)):
        np.testing.assert_allclose(x[name], function(image.astype(float), labels, regions), rtol=1e-4, atol=1e-5)
    steepness, sides, at_edge = by_pixel(image.astype(float), labels)
    mean_area = mask.sum() / len(regions)
    gradient = np.log1p(ndimage.mean(steepness, labels, regions) * np.sqrt(mean_area))
    np.testing.assert_allclose(x["gradient"], gradient, rtol=1e-4)
    np.testing.assert_allclose(x["log_area"], np.log(np.bincount(labels[mask]) / mean_area), rtol=1e-4, atol=1e-6)
    shares = ndimage.sum(at_edge, labels, regions) / ndimage.sum(sides, labels, regions)
    np.testing.assert_allclose(x["border_share"], shares, rtol=1e-5)


def by_pixel(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Length of the gradient, sides at another region or the mask's edge, and sides at its edge, of each pixel."""
    values, around = np.pad(image, 1), np.pad(labels, 1, constant_values=-1)
    near, kinds = [], []
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        window = np.s_[1 + down : 1 + down + image.shape[0], 1 + across : 1 + across + image.shape[1]]
        near.append(np.where(around[window] >= 0, values[window], image))
        kinds.append(around[window])
    steepness = np.hypot(near[1] - near[0], near[3] - near[2]) / 2
    around_it = np.stack(kinds)
    return steepness, (around_it != labels).sum(axis=0), (around_it < 0).sum(axis=0)


def test_a_blurred_constant_stays_constant_up_to_the_edge_of_a_mask() -> None:
    x = build_region_graph(np.full((1, 60, 60), 3, np.float32), RECIPE, disc(60)).x
    assert np.abs(x[:, len(STATISTICS) : len(STATISTICS) + 8]).max() < 1e-5


def test_a_mask_that_leaves_nothing_or_does_not_fit_is_refused() -> None:
    image = np.zeros((1, 8, 8), np.float32)
    with pytest.raises(SampleError, match="pixels_missing: the mask leaves no pixel"):
        build_region_graph(image, RECIPE, np.zeros((8, 8), bool))
    with pytest.raises(ValueError, match=r"a mask of \(8, 9\) does not fit"):
        superpixel_labels(image, RECIPE, np.ones((8, 9), bool))
