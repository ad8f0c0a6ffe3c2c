"""medray/graphs/build.py."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medray.errors import SampleError, SettingsError
from medray.graphs.build import build_region_graph, node_feature_names, superpixel_labels
from medray.graphs.features import TEXTURE
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

RECIPE = GraphRecipe(regions=60)
PARTS = ("x", "pos", "edge_index", "edge_attr", "level")
BUILDERS = ("superpixel", "grid", "knn", "multiscale")
GRID = GraphRecipe(builder="grid", regions=64, texture=True)


def same(one, other) -> bool:
    return all(np.array_equal(getattr(one, n), getattr(other, n)) for n in PARTS)


@pytest.mark.parametrize("recipe", [RECIPE, replace(RECIPE, blur_px=0.0, compactness=0.01), GRID])
@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (28, 28), (20, 90), (90, 20)])
def test_labels_are_a_partition_into_connected_regions(rows: int, columns: int, recipe: GraphRecipe) -> None:
    labels = superpixel_labels(ellipses(90, 3, noise=0.2)[0][None, :rows, :columns], recipe)
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert all(ndimage.label(labels == region)[1] == 1 for region in range(labels.max() + 1))
    if recipe.builder == "superpixel":
        assert np.bincount(labels.ravel()).min() >= 0.25 * rows * columns / 70


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.sampled_from(BUILDERS), st.sampled_from([1, 2, 3]),
    st.sampled_from([None, 0.02, 0.5, 0.9]),
)  # fmt: skip
def test_images_and_masks_of_any_kind_make_a_sound_graph(rows, columns, regions, builder, channels, share) -> None:
    recipe = GraphRecipe(builder=builder, regions=regions, texture=True, lbp=True, position=True)
    image = np.stack([ellipses(40, k)[0][:rows, :columns] for k in range(channels)])
    mask = None if share is None else np.random.default_rng(regions).random((rows, columns)) < share
    if mask is not None:
        mask[rows // 2, columns // 2] = True
    graph, labels = build_region_graph(image, recipe, mask), superpixel_labels(image, recipe, mask)
    graph.check()
    assert np.count_nonzero(graph.level == 0) == labels.max() + 1
    assert np.array_equal(labels >= 0, np.ones((rows, columns), bool) if mask is None else mask)
    assert graph.x.shape[1] == len(node_feature_names(recipe, channels))


@pytest.mark.parametrize(("size", "regions"), [(28, 81), (64, 100), (128, 200), (224, 196)])
def test_about_as_many_regions_as_asked_for(size: int, regions: int) -> None:
    counts = [superpixel_labels(ellipses(size, k, 0.02)[0][None], GraphRecipe(regions=regions)).max() for k in range(3)]
    assert np.mean(counts) == pytest.approx(regions, rel=0.12)


def test_a_blank_image_becomes_blocks() -> None:
    graph = build_region_graph(np.zeros((1, 60, 60), np.float32), GraphRecipe(regions=36))
    assert graph.num_nodes == 36 and np.all(graph.x[:, 1:6] == 0)


def test_threads_do_not_change_a_bit() -> None:
    images = [ellipses(64, k)[0][None] for k in range(8)]
    recipe = replace(RECIPE, texture=True)
    alone = [build_region_graph(image, recipe) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda k: build_region_graph(images[k % 8], recipe), range(32)))
    assert all(same(graph, alone[k % 8]) for k, graph in enumerate(together))


def test_features_are_of_the_regions_that_are_painted() -> None:
    image = ellipses(96, 1)[0]
    graph, labels = build_region_graph(image[None], RECIPE), superpixel_labels(image[None], RECIPE)
    means = ndimage.mean(image.astype(float), labels, np.arange(labels.max() + 1))
    np.testing.assert_allclose(graph.x[:, 1], means, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("turn", [lambda a: np.rot90(a, axes=(1, 2)), lambda a: a[:, ::-1], lambda a: a[:, :, ::-1]])
def test_a_turned_or_mirrored_image_has_the_same_grid_features(turn) -> None:
    image = ellipses(64, 2)[0][None]
    x, turned = (build_region_graph(np.ascontiguousarray(i), GRID).x for i in (image, turn(image)))
    np.testing.assert_allclose(_sorted(turned), _sorted(x), rtol=1e-4, atol=2e-5)


def _sorted(x: np.ndarray) -> np.ndarray:
    """Rows in the order of their mean value, which no two blocks share."""
    return x[np.argsort(x[:, 1])]


def test_a_turned_image_has_almost_the_same_superpixel_features() -> None:
    image = ellipses(128, 2, noise=0.02)[0][None]
    x, turned = (
        build_region_graph(np.ascontiguousarray(i), GraphRecipe()).x for i in (image, np.rot90(image, axes=(1, 2)))
    )
    assert abs(len(x) - len(turned)) <= 4
    np.testing.assert_allclose(turned.mean(axis=0), x.mean(axis=0), atol=0.03)


def test_read_only_and_sliced_images_give_the_same_graph() -> None:
    wide = ellipses(64, 4)[0][None]
    frozen = wide[:, :50, ::2].copy()
    frozen.setflags(write=False)
    assert same(build_region_graph(frozen, RECIPE), build_region_graph(wide[:, :50, ::2], RECIPE))


def test_names_are_as_many_as_features() -> None:
    recipe = GraphRecipe(texture=True, position=True)
    graph = build_region_graph(ellipses(48, 0)[0][None], recipe)
    assert len(node_feature_names(recipe)) == graph.x.shape[1] == 12 + 22 + 2
    assert len(TEXTURE) == 22 and node_feature_names(recipe)[-2:] == ("row", "column")


def test_features_are_of_order_one() -> None:
    x = build_region_graph(ellipses(224, 0)[0][None], GraphRecipe(texture=True, position=True)).x
    assert np.abs(x).max() < 5 and np.abs(x.mean(axis=0)).max() < 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    image = np.zeros((2, 8, 8), np.float32)
    image[1, 3, 3] = value
    with pytest.raises(SampleError, match="unsupported_pixels: 1 pixels are not finite"):
        build_region_graph(image, RECIPE)


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(SampleError, match="without pixels"):
        superpixel_labels(np.zeros((1, 0, 8), np.float32), RECIPE)


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"neighbours": 0}, "--recipe.graph.neighbours is 0, and must be 1 or more"),
        ({"regions": 0}, "--recipe.graph.regions is 0, and must be 1 or more"),
        ({"iterations": 0}, "--recipe.graph.iterations is 0, and must be 1 or more"),
        ({"compactness": -0.1}, "--recipe.graph.compactness is -0.1, and must be 0 or more"),
        ({"blur_px": float("nan")}, "--recipe.graph.blur_px is nan, and must be 0 or more"),
    ],
)
def test_a_recipe_that_makes_no_graph_is_refused(wrong: dict[str, float], rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        GraphRecipe(**wrong)
