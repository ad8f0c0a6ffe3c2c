"""medray/graphs/region_kernels.py, by way of the graphs it makes."""

import math

import numpy as np
import pytest

from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.features import STATISTICS
from medray.image_settings import GraphRecipe
from tests.graphs import by_hand
from tests.graphs.ellipses import ellipses

SHAPES = [(64, 64, 60), (28, 28, 81), (37, 90, 50), (5, 70, 30), (9, 1, 4)]


def image_of(rows: int, columns: int) -> np.ndarray:
    return ellipses(max(rows, columns), rows)[0][:rows, :columns].copy()


@pytest.mark.parametrize(("rows", "columns", "regions"), SHAPES)
def test_edges_and_their_lengths_are_those_of_np_unique(rows: int, columns: int, regions: int) -> None:
    image, recipe = image_of(rows, columns), GraphRecipe(regions=regions)
    graph, labels = build_region_graph(image[None], recipe), superpixel_labels(image[None], recipe)
    pairs, lengths, contrasts = by_hand.adjacency(image, labels)
    np.testing.assert_array_equal(graph.edge_index, pairs)
    wanted = np.stack([lengths / math.sqrt(image.size / graph.num_nodes), contrasts], axis=1)
    np.testing.assert_allclose(graph.edge_attr, wanted, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize(("rows", "columns", "regions"), SHAPES)
def test_node_features_are_those_of_masks(rows: int, columns: int, regions: int) -> None:
    image, recipe = image_of(rows, columns), GraphRecipe(regions=regions)
    graph, labels = build_region_graph(image[None], recipe), superpixel_labels(image[None], recipe)
    np.testing.assert_allclose(graph.x, by_hand.statistics(image, labels), rtol=1e-5, atol=2e-6)


def test_positions_are_centroids_over_the_longer_side() -> None:
    image, recipe = image_of(30, 60), GraphRecipe(regions=40, position=True)
    graph, labels = build_region_graph(image[None], recipe), superpixel_labels(image[None], recipe)
    rows, columns = np.nonzero(labels == 7)
    np.testing.assert_allclose(graph.pos[7], [(rows.mean() - 14.5) / 60, (columns.mean() - 29.5) / 60], rtol=1e-5)
    np.testing.assert_array_equal(graph.x[:, -2:], graph.pos)


def test_a_square_block_has_the_shape_of_a_square() -> None:
    graph = build_region_graph(image_of(40, 40)[None], GraphRecipe(builder="grid", regions=16))
    x = dict(zip(STATISTICS, graph.x[5], strict=True))
    assert x["log_area"] == 0 and x["perimeter"] == 1 and x["border_share"] == 0
    assert x["compactness"] == pytest.approx(math.pi / 4) and x["long_axis"] == pytest.approx(1 / math.sqrt(12))


def test_blocks_of_a_grid_have_eight_neighbours() -> None:
    image = image_of(40, 40)
    graph = build_region_graph(image[None], GraphRecipe(builder="grid", regions=16))
    degrees = np.bincount(graph.edge_index.ravel().astype(int))
    assert sorted(degrees.tolist()) == [3] * 4 + [5] * 8 + [8] * 4
    corner = graph.edge_index.T.tolist().index([0, 5])
    assert graph.edge_attr[corner].tolist() == pytest.approx([0, abs(image[9, 9] - image[10, 10])])
