"""medray/graphs/volume_region_kernels.py and volume_features.py, by way of the graphs they make."""

import math

import numpy as np
import pytest

from medray.graphs.run_kernels import find_runs
from medray.graphs.volume_build import build_volume_graph, supervoxel_labels
from medray.graphs.volume_connectivity_kernels import find_volume_contacts
from medray.graphs.volume_features import VOLUME_STATISTICS, describe_volume_regions
from medray.graphs.volume_region_kernels import AREA, CONTRAST, sum_volume_edges, sum_volume_regions
from medray.image_settings import GraphRecipe
from tests.graphs import volumes_by_hand as by_hand

CASES = [((12, 30, 40), (3.0, 1.0, 1.0), 60), ((20, 9, 15), (1.0, 2.0, 0.7), 40), ((5, 40, 1), (1.0, 1.0, 1.0), 9)]


def described(volume, labels, spacing):
    """Features, positions, pairs, areas and contrasts of any label map."""
    sides, labels = np.array(spacing), np.ascontiguousarray(labels, np.int32)
    volume, (slices, rows, columns) = np.ascontiguousarray(volume, np.float32), labels.shape
    runs, faces = find_runs(labels.reshape(slices * rows, columns)), sides.prod() / sides
    contacts = find_volume_contacts(runs[0], runs[1], labels.shape)
    sums = sum_volume_regions(volume, labels, runs, int(labels.max()) + 1, ((0.5 / sides).astype(np.float32), faces))
    pairs, edges = sum_volume_edges(volume, labels, runs, contacts, sums, faces)
    x, pos = describe_volume_regions(sums, labels.shape, sides)
    return x, pos, pairs, edges[:, AREA], edges[:, CONTRAST] / edges[:, AREA]


def blocks(shape: tuple[int, int, int], block: tuple[int, int, int]) -> np.ndarray:
    """Numbers of equal boxes, in raster order."""
    over, down, across = (np.arange(n) // b for n, b in zip(shape, block, strict=True))
    cells = [n // b for n, b in zip(shape, block, strict=True)]
    return (over[:, None, None] * cells[1] + down[:, None]) * cells[2] + across


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("shape", "spacing", "regions"), CASES)
def test_nodes_and_edges_are_those_of_masks_and_np_unique(shape, spacing, regions, masked) -> None:
    volume = by_hand.spheres(shape, spacing)[0]
    mask = by_hand.spheres(shape, spacing, seed=1, noise=0)[1] < 4 if masked else None
    recipe = GraphRecipe(regions=regions)
    graph, labels = (
        build_volume_graph(volume, spacing, recipe, mask),
        supervoxel_labels(volume, spacing, recipe, mask),
    )
    pairs, areas, contrasts = by_hand.adjacency(volume, labels, spacing)
    np.testing.assert_array_equal(graph.edge_index, pairs)
    unit = (np.count_nonzero(labels >= 0) * np.prod(spacing) / graph.num_nodes) ** (2 / 3)
    np.testing.assert_allclose(graph.edge_attr, np.stack([areas / unit, contrasts], axis=1), rtol=3e-6, atol=1e-6)
    np.testing.assert_allclose(graph.x, by_hand.statistics(volume, labels, spacing), rtol=2e-5, atol=3e-6)


def test_boxes_have_the_areas_and_shapes_of_boxes() -> None:
    spacing, block = (3.0, 1.5, 0.5), (2, 3, 8)  # 6 x 4.5 x 4 mm
    volume = np.arange(4 * 9 * 24, dtype=np.float32).reshape(4, 9, 24)
    x, pos, pairs, areas, contrasts = described(volume, blocks((4, 9, 24), block), spacing)
    assert len(x) == 2 * 3 * 3 and pairs.shape[1] == 9 + 2 * 6 + 2 * 6
    found = dict(zip(zip(*pairs.tolist(), strict=True), zip(areas, contrasts, strict=True), strict=True))
    assert found[0, 1] == (6 * 4.5, 1) and found[0, 3] == (6 * 4, 24) and found[0, 9] == (4.5 * 4, 216)
    corner, surface = dict(zip(VOLUME_STATISTICS, x[0], strict=True)), 2 * (27 + 24 + 18)
    assert corner["log_volume"] == 0 and corner["border_share"] == 0.5
    assert corner["surface"] == pytest.approx(surface / (6 * 108 ** (2 / 3)))
    assert corner["compactness"] == pytest.approx(36 * math.pi * 108**2 / surface**3)
    axes = [corner[name] * 108 ** (1 / 3) * math.sqrt(12) for name in ("long_axis", "middle_axis", "short_axis")]
    assert axes == pytest.approx([6, 4.5, 4])
    assert pos[0].tolist() == pytest.approx([-3 / 13.5, -4.5 / 13.5, -4 / 13.5])
    slope = math.sqrt((216 / 3) ** 2 + (24 / 1.5) ** 2 + (1 / 0.5) ** 2)
    assert x[:, 5].max() < math.log1p(slope * 108 ** (1 / 3)) and x[:, 5].min() > math.log1p(slope / 2 * 108 ** (1 / 3))


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_axes_may_be_exchanged_with_their_spacing(order: tuple[int, int, int]) -> None:
    spacing, shape = (3.0, 1.5, 0.5), (6, 9, 24)
    volume, labels = by_hand.spheres(shape, spacing, noise=0.3)[0], blocks(shape, (2, 3, 8))
    x, pos, pairs, areas, contrasts = described(volume, labels, spacing)
    turned = described(volume.transpose(order), labels.transpose(order), [spacing[k] for k in order])
    np.testing.assert_allclose(turned[0], x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(turned[1], pos[:, order], atol=1e-7)
    np.testing.assert_array_equal(turned[2], pairs)
    np.testing.assert_allclose(turned[3], areas)
    np.testing.assert_allclose(turned[4], contrasts, rtol=1e-6)


def test_many_neighbours_of_one_region_are_all_found() -> None:
    """A region that touches all others, more edges than the table first holds."""
    labels = np.zeros((2, 20, 20), np.int32)
    labels[1] = 1 + np.arange(400).reshape(20, 20)
    pairs = described(np.zeros((2, 20, 20)), labels, (1.0, 1.0, 1.0))[2]
    assert pairs.shape[1] == 400 + 2 * 20 * 19 and np.array_equal(pairs[1][pairs[0] == 0], np.arange(1, 401))
