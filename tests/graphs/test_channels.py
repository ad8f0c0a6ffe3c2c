"""Images of several channels."""

import numpy as np
import pytest

from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.features import STATISTICS, node_feature_names
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

RECIPE = GraphRecipe(regions=50, texture=True, lbp=True)
FIRST = len(STATISTICS)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.stack([ellipses(64, k)[0] for k in range(3)])


def test_a_permutation_of_the_channels_permutes_their_features_and_nothing_else(image: np.ndarray) -> None:
    order = [2, 0, 1]
    one, other = build_region_graph(image, RECIPE), build_region_graph(image[order].copy(), RECIPE)
    assert np.array_equal(superpixel_labels(image, RECIPE), superpixel_labels(image[order].copy(), RECIPE))
    columns = [FIRST + 2 * channel + part for channel in order for part in range(2)]
    assert np.array_equal(one.x[:, columns], other.x[:, FIRST : FIRST + 6])
    rest = [k for k in range(one.x.shape[1]) if not FIRST <= k < FIRST + 6]
    np.testing.assert_allclose(one.x[:, rest], other.x[:, rest], rtol=1e-4, atol=2e-3)
    assert np.array_equal(one.edge_index, other.edge_index)
    np.testing.assert_allclose(one.edge_attr, other.edge_attr, rtol=1e-6)


def test_each_channel_has_its_mean_and_deviation(image: np.ndarray) -> None:
    graph, labels = build_region_graph(image, RECIPE), superpixel_labels(image, RECIPE)
    names = node_feature_names(RECIPE, 3)
    assert names[FIRST : FIRST + 6] == ("mean_0", "std_0", "mean_1", "std_1", "mean_2", "std_2")
    for region in (0, 7, graph.num_nodes - 1):
        values = image[:, labels == region].astype(float)
        x = dict(zip(names, graph.x[region], strict=True))
        for channel in range(3):
            assert x[f"mean_{channel}"] == pytest.approx(values[channel].mean(), abs=1e-5)
            assert x[f"std_{channel}"] == pytest.approx(values[channel].std(), abs=1e-5)
        assert x["mean"] == pytest.approx(values.mean(), abs=1e-5)
        assert x["std"] == pytest.approx(values.mean(axis=0).std(), abs=1e-5)


@pytest.mark.parametrize("builder", ["superpixel", "grid", "knn", "multiscale"])
def test_an_image_of_two_equal_channels_is_the_grey_one(image: np.ndarray, builder: str) -> None:
    recipe = GraphRecipe(builder=builder, regions=50)
    grey, twice = (build_region_graph(np.repeat(image[:1], times, axis=0), recipe) for times in (1, 2))
    assert np.array_equal(twice.x[:, :FIRST], grey.x) and np.array_equal(twice.edge_index, grey.edge_index)
    np.testing.assert_allclose(twice.edge_attr, grey.edge_attr, rtol=1e-6)


def test_regions_follow_a_border_that_only_colour_shows() -> None:
    image = np.ones((2, 40, 40), np.float32)
    image[0, :, 17:], image[1, :, :17] = -1, -1
    graph, labels = build_region_graph(image, RECIPE), superpixel_labels(image, RECIPE)
    assert not set(labels[:, :17].ravel()) & set(labels[:, 17:].ravel())
    assert np.ptp(graph.x[:, 1]) == 0 and sorted(set(graph.x[:, FIRST].tolist())) == [-1, 1]
    assert sorted(set(graph.edge_attr[:, 1].tolist())) == [0, 2]
