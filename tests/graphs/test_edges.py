"""medray/graphs/edges.py, by way of the graphs it makes: nearest regions, and what regions merge into."""

import math
from dataclasses import replace

import numpy as np
import pytest

from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.features import STATISTICS
from medray.image_settings import GraphRecipe
from tests.graphs import by_hand
from tests.graphs.ellipses import achievable_accuracy, ellipses

KNN = GraphRecipe(builder="knn", regions=60, neighbours=5)
TREE = GraphRecipe(builder="multiscale", regions=80)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return ellipses(72, 4)[0]


def test_each_region_is_joined_to_those_nearest_in_slics_distance(image: np.ndarray) -> None:
    graph = build_region_graph(image[None], KNN)
    places = graph.pos.astype(float) * 72 * KNN.compactness / math.sqrt(image.size / graph.num_nodes)
    points = np.column_stack([places, graph.x[:, 1].astype(float)])
    gaps = ((points[:, None] - points) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    chosen = np.argsort(gaps, axis=1)[:, :5]
    wanted = {(min(i, int(j)), max(i, int(j))) for i in range(len(points)) for j in chosen[i]}
    assert list(map(tuple, graph.edge_index.T.tolist())) == sorted(wanted)


def test_regions_that_touch_keep_their_boundary_and_others_have_none(image: np.ndarray) -> None:
    graph, touching = (
        build_region_graph(image[None], KNN),
        build_region_graph(image[None], replace(KNN, builder="superpixel")),
    )
    known = dict(zip(map(tuple, touching.edge_index.T.tolist()), touching.edge_attr.tolist(), strict=True))
    found = [known.get(tuple(pair), [0, 0]) for pair in graph.edge_index.T.tolist()]
    assert (
        graph.edge_attr.tolist() == found
        and [0, 0] in found
        and len(known.keys() & set(map(tuple, graph.edge_index.T.tolist())))
    )
    assert np.array_equal(graph.x, touching.x)


def test_of_equally_near_regions_the_first_ones_are_taken() -> None:
    square = replace(KNN, regions=16, neighbours=1, compactness=10.0)  # distances are whole numbers
    graph = build_region_graph(np.zeros((1, 40, 40), np.float32), square)
    assert graph.edge_index.T.tolist() == sorted([[0, 1], [1, 2], [2, 3], *([k, k + 4] for k in range(12))])


@pytest.mark.parametrize("neighbours", [1, 3, 99])
def test_as_many_neighbours_as_asked_for_or_all_there_are(image: np.ndarray, neighbours: int) -> None:
    graph = build_region_graph(image[None], replace(KNN, regions=9, neighbours=neighbours))
    degrees = np.bincount(graph.edge_index.ravel().astype(int), minlength=graph.num_nodes)
    assert degrees.min() >= min(neighbours, graph.num_nodes - 1)
    assert neighbours < 99 or graph.num_edges == graph.num_nodes * (graph.num_nodes - 1) / 2


def parts_of(graph) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of each level, and each node's parent, -1 at the top."""
    ends = graph.edge_index.astype(int)
    up = graph.level[ends[1]] > graph.level[ends[0]]
    parents = np.full(graph.num_nodes, -1)
    parents[ends[0, up]] = ends[1, up]
    assert np.count_nonzero(up) == np.count_nonzero(graph.level < 2)
    return np.bincount(graph.level), parents


def test_every_region_is_part_of_one_and_levels_have_a_third_and_a_twelfth(image: np.ndarray) -> None:
    graph = build_region_graph(image[None], TREE)
    counts, parents = parts_of(graph)
    assert counts.tolist() == [counts[0], round(counts[0] / 3), round(counts[0] / 12)]
    assert np.all((parents >= 0) == (graph.level < 2))
    assert set(parents[parents >= 0]) == set(np.flatnonzero(graph.level > 0))
    assert np.all(graph.edge_attr[graph.level[graph.edge_index[0]] != graph.level[graph.edge_index[1]]] == 0)


def test_level_0_is_the_graph_of_superpixels(image: np.ndarray) -> None:
    graph, flat = (
        build_region_graph(image[None], TREE),
        build_region_graph(image[None], replace(TREE, builder="superpixel")),
    )
    within = graph.level[graph.edge_index].max(axis=0) == 0
    assert np.array_equal(graph.x[graph.level == 0], flat.x)
    assert np.array_equal(graph.edge_index[:, within], flat.edge_index)
    assert np.array_equal(graph.edge_attr[within], flat.edge_attr)


@pytest.mark.parametrize("level", [1, 2])
def test_merged_regions_have_the_features_of_their_union(image: np.ndarray, level: int) -> None:
    recipe = replace(TREE, texture=True, lbp=True)
    graph, labels = build_region_graph(image[None], recipe), superpixel_labels(image[None], recipe)
    counts, parents = parts_of(graph)
    merged = labels
    for _ in range(level):
        merged = parents[merged]
    merged, first = merged - counts[:level].sum(), counts[:level].sum()
    here = slice(first, first + counts[level])
    wanted = by_hand.statistics(image, merged)
    wanted[:, 0] += math.log(counts[0] / counts[level])
    share = math.sqrt(counts[level] / counts[0])
    wanted[:, 5] = np.log1p(np.expm1(wanted[:, 5]) * share)
    np.testing.assert_allclose(graph.x[here, : len(STATISTICS)], wanted, rtol=1e-4, atol=5e-6)
    pairs, lengths, contrasts = by_hand.adjacency(image, merged)
    ends = graph.edge_index.astype(int)
    within = (graph.level[ends] == level).all(axis=0)
    assert np.array_equal(ends[:, within] - first, pairs)
    attributes = np.stack([lengths / math.sqrt(image.size / counts[0]), contrasts], axis=1)
    np.testing.assert_allclose(graph.edge_attr[within], attributes, rtol=2e-6)
    histogram = graph.x[here, -10:]
    np.testing.assert_allclose(histogram.sum(axis=1), 1, rtol=1e-5)
    part = np.flatnonzero(parents == first)
    while level == 2 and graph.level[part].max() > 0:
        part = np.flatnonzero(np.isin(parents, part))
    weights = np.bincount(labels.ravel())[part]
    np.testing.assert_allclose(histogram[0], weights @ graph.x[part, -10:] / weights.sum(), rtol=1e-4, atol=1e-6)


def test_the_most_alike_neighbours_merge_first(image: np.ndarray) -> None:
    graph, labels = build_region_graph(image[None], TREE), superpixel_labels(image[None], TREE)
    counts, parents = parts_of(graph)
    merged = labels.copy()
    while len(np.unique(merged)) > counts[1]:
        pairs, _, contrasts = by_hand.adjacency(image, merged)
        areas = np.bincount(merged.ravel())
        means = np.bincount(merged.ravel(), image.ravel()) / np.maximum(areas, 1)
        low, high = pairs
        size = np.sqrt(areas[low] * areas[high] / (areas[low] + areas[high]))
        best = np.argmin((np.abs(means[low] - means[high]) + contrasts) * size)
        merged[merged == high[best]] = low[best]
    assert len(set(zip(merged.ravel().tolist(), parents[labels].ravel().tolist(), strict=True))) == counts[1]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_coarse_level_keeps_to_true_borders(seed: int) -> None:
    image, truth = ellipses(128, seed, 0.03)
    recipe = replace(TREE, regions=150)
    graph, labels = build_region_graph(image[None], recipe), superpixel_labels(image[None], recipe)
    _, parents = parts_of(graph)
    level = [labels, parents[labels], parents[parents[labels]]]
    accuracy = [achievable_accuracy(one, truth) for one in level]
    blocks = superpixel_labels(image[None], GraphRecipe(builder="grid", regions=150))
    assert accuracy[1] > accuracy[0] - 0.02 and accuracy[1] > achievable_accuracy(blocks, truth)


def test_an_image_of_one_region_has_one_on_every_level() -> None:
    graph = build_region_graph(np.ones((1, 5, 5), np.float32), replace(TREE, regions=1))
    graph.check()
    assert graph.level.tolist() == [0, 1, 2] and graph.edge_index.T.tolist() == [[0, 1], [1, 2]]
    alone = build_region_graph(np.ones((1, 5, 5), np.float32), replace(KNN, regions=1))
    assert (alone.num_nodes, alone.num_edges) == (1, 0)
