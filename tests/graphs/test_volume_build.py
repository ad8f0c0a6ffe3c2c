"""medray/graphs/volume_build.py."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medray.errors import SampleError, SettingsError
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.features import STATISTICS
from medray.graphs.volume_build import build_volume_graph, supervoxel_labels, volume_feature_names
from medray.graphs.volume_features import VOLUME_STATISTICS
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import achievable_accuracy, ellipses
from tests.graphs.volumes_by_hand import spheres

RECIPE = GraphRecipe(regions=60)
SPACING = (3.0, 1.0, 1.0)
SHAPE = (14, 40, 44)


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ("x", "pos", "edge_index", "edge_attr"))


@pytest.mark.parametrize("masked", [False, True])
def test_labels_are_a_partition_of_real_voxels_into_connected_regions(masked: bool) -> None:
    volume, truth = spheres(SHAPE, SPACING, noise=0.2)
    mask = truth != 3 if masked else None
    labels = supervoxel_labels(volume, SPACING, RECIPE, mask)
    assert np.array_equal(labels >= 0, np.ones(SHAPE, bool) if mask is None else mask)
    regions = np.unique(labels[labels >= 0])
    assert np.array_equal(regions, np.arange(len(regions))) and len(regions) == pytest.approx(60, rel=0.2)
    assert all(ndimage.label(labels == region)[1] == 1 for region in regions)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 20), st.integers(1, 90), st.sampled_from([0.5, 1.0, 7.0]))
def test_volumes_of_any_size_make_a_sound_graph(slices, rows, columns, regions, step) -> None:
    volume = spheres((12, 20, 20), SPACING)[0][:slices, :rows, :columns]
    recipe = GraphRecipe(regions=regions, position=True)
    graph = build_volume_graph(volume, (step, 1.0, 0.7), recipe)
    graph.check()
    assert graph.x.shape == (graph.num_nodes, len(volume_feature_names(recipe))) and graph.num_nodes <= volume.size
    assert np.array_equal(graph.x[:, -3:], graph.pos)


@pytest.mark.parametrize(("rows", "columns", "regions"), [(64, 64, 60), (128, 100, 90), (30, 90, 40), (9, 1, 4)])
@pytest.mark.parametrize("side", [1.0, 0.7])
def test_one_slice_of_isotropic_spacing_is_the_image(rows: int, columns: int, regions: int, side: float) -> None:
    """Labels and edges are equal bit for bit, features to float32's rounding."""
    image, recipe = ellipses(128, rows)[0][None, :rows, :columns], GraphRecipe(regions=regions, position=True)
    ours, plane = build_volume_graph(image, (None, side, side), recipe), build_region_graph(image, recipe)
    assert np.array_equal(supervoxel_labels(image, (9.0, side, side), recipe)[0], superpixel_labels(image, recipe))
    assert np.array_equal(ours.edge_index, plane.edge_index)
    np.testing.assert_allclose(ours.edge_attr, plane.edge_attr, rtol=1e-6, atol=1e-7)
    twins = dict(zip(VOLUME_STATISTICS, ours.x.T[:13], strict=True))
    assert np.all(twins.pop("short_axis") == 0)
    np.testing.assert_allclose(np.stack(list(twins.values())), plane.x[:, : len(STATISTICS)].T, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(ours.pos, np.pad(plane.pos, ((0, 0), (1, 0))), atol=1e-7)


def test_regions_are_compact_in_mm() -> None:
    """A volume of one value becomes cubes of 12 mm: 4 slices of 3 mm, 12 rows and 12 columns of 1 mm."""
    graph = build_volume_graph(np.zeros((16, 48, 48), np.float32), SPACING, GraphRecipe(regions=64))
    x = dict(zip(VOLUME_STATISTICS, graph.x.T, strict=True))
    assert graph.num_nodes == 64 and graph.num_edges == 3 * 4 * 4 * 3 and np.all(graph.x[:, :6] == 0)
    np.testing.assert_allclose(graph.x[:, 6:10], [[12**-0.5] * 3 + [1]] * 64, rtol=1e-5)
    np.testing.assert_allclose(np.sort(x["border_share"]) * 6, np.repeat([0, 1, 2, 3], [8, 24, 24, 8]), rtol=1e-6)
    np.testing.assert_allclose(graph.edge_attr, [[1, 0]] * graph.num_edges, rtol=1e-6)


def test_the_unit_of_length_does_not_matter() -> None:
    volume = spheres(SHAPE, SPACING)[0]
    assert same(build_volume_graph(volume, (6.0, 2.0, 2.0), RECIPE), build_volume_graph(volume, SPACING, RECIPE))


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_axes_may_be_exchanged_with_their_spacing(order: tuple[int, int, int]) -> None:
    """But for ties and rounding, while the cells are too small for sweeps over every third row."""
    volume, recipe = spheres((12, 24, 48), (2.0, 1.0, 0.5), noise=0.1)[0], GraphRecipe(regions=216)
    labels = supervoxel_labels(volume, (2.0, 1.0, 0.5), recipe)
    spacing = tuple((2.0, 1.0, 0.5)[k] for k in order)
    turned = supervoxel_labels(np.ascontiguousarray(volume.transpose(order)), spacing, recipe)
    back = turned.transpose(np.argsort(order))
    assert achievable_accuracy(labels, back) > 0.995 and achievable_accuracy(back, labels) > 0.995


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (1.0, 0.5, 2.0)])
def test_spheres_of_known_intensity_are_recovered(spacing: tuple[float, float, float]) -> None:
    shape = tuple(round(48 / side) for side in spacing)
    volume, truth = spheres(shape, spacing, noise=0.02)
    labels = supervoxel_labels(volume, spacing, GraphRecipe(regions=400))
    assert achievable_accuracy(labels, truth) > 0.985
    x = build_volume_graph(volume, spacing, GraphRecipe(regions=400)).x
    for ball in np.unique(truth[truth > 0]):
        inside = [k for k in np.unique(labels[truth == ball]) if (truth[labels == k] == ball).all()]
        np.testing.assert_allclose(x[inside, 1], volume[truth == ball].mean(), atol=0.05)


def test_what_is_not_real_is_not_looked_at() -> None:
    volume, truth = spheres(SHAPE, SPACING)
    mask = truth != 3
    hidden = np.where(mask, volume, np.float32(np.nan))
    graph = build_volume_graph(hidden, SPACING, RECIPE, mask)
    assert same(graph, build_volume_graph(volume, SPACING, RECIPE, mask)) and graph.num_nodes > 40
    assert not same(graph, build_volume_graph(volume, SPACING, RECIPE))
    assert same(
        build_volume_graph(volume, SPACING, RECIPE, np.ones(SHAPE, bool)), build_volume_graph(volume, SPACING, RECIPE)
    )


def test_threads_and_layouts_do_not_change_a_bit() -> None:
    volumes = [spheres(SHAPE, SPACING, seed=k)[0] for k in range(3)]
    alone = [build_volume_graph(volume, SPACING, RECIPE) for volume in volumes]
    volumes[0].setflags(write=False)
    volumes[1] = np.asfortranarray(volumes[1])
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda k: build_volume_graph(volumes[k % 3], SPACING, RECIPE), range(9)))
    assert all(same(graph, alone[k % 3]) for k, graph in enumerate(together))


def test_what_makes_no_graph_is_refused() -> None:
    volume, nothing = np.zeros((3, 4, 5), np.float32), np.zeros((3, 4, 5), bool)
    broken = volume.copy()
    broken[1, 2, 3] = np.inf
    for reason, values, spacing, mask in (
        ("unsupported_pixels: 1 voxels", broken, SPACING, None),
        ("pixels_missing", volume, SPACING, nothing),
        ("pixels_missing", volume[:0], SPACING, None),
        ("spacing_missing", volume, (None, 1.0, 1.0), None),
        ("spacing_missing", volume, (1.0, 0.0, 1.0), None),
    ):
        with pytest.raises(SampleError, match=reason):
            build_volume_graph(values, spacing, RECIPE, mask)
    for recipe in (replace(RECIPE, builder="grid"), replace(RECIPE, texture=True)):
        with pytest.raises(SettingsError, match="without texture"):
            supervoxel_labels(volume, SPACING, recipe)
