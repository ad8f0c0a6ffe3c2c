"""medray/graphs/texture.py."""

import numpy as np
import pytest
from scipy import ndimage

from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.features import HISTOGRAM_EDGES, STATISTICS, TEXTURE
from medray.image_settings import GraphRecipe
from tests.graphs import by_hand
from tests.graphs.ellipses import ellipses

RECIPE = GraphRecipe(regions=40, texture=True)


def texture_of(image: np.ndarray, recipe: GraphRecipe = RECIPE) -> dict[str, np.ndarray]:
    x = build_region_graph(image[None], recipe).x[:, len(STATISTICS) :]
    return dict(zip(TEXTURE, x.T, strict=True))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return ellipses(80, 6)[0]


def test_bands_are_differences_of_gaussians(image: np.ndarray) -> None:
    labels, found = superpixel_labels(image[None], RECIPE), texture_of(image)
    blurred = {0: image.astype(float)} | {
        s: ndimage.gaussian_filter(image.astype(float), s, mode="nearest") for s in (1, 2)
    }
    regions = np.arange(labels.max() + 1)
    for sigma, finer in ((1, 0), (2, 1)):
        band = blurred[finer] - blurred[sigma]
        np.testing.assert_allclose(found[f"band_{sigma}"], ndimage.mean(band, labels, regions), atol=0.01)
        np.testing.assert_allclose(found[f"band_{sigma}_size"], ndimage.mean(abs(band), labels, regions), atol=0.01)


def test_coherence_is_that_of_the_eigenvalues(image: np.ndarray) -> None:
    labels, found = superpixel_labels(image[None], RECIPE), texture_of(image)
    g = by_hand.gradient(ndimage.gaussian_filter(image.astype(float), 1, mode="nearest", radius=3))[:, labels == 4]
    small, large = np.linalg.eigvalsh(g @ g.T)
    assert found["coherence_1"][4] == pytest.approx((large - small) / (large + small), abs=1e-4)
    assert found["gradient_1"][4] == pytest.approx(np.hypot(*g).mean(), abs=1e-4)


def test_histograms_are_numpys(image: np.ndarray) -> None:
    labels, found = superpixel_labels(image[None], RECIPE), texture_of(image)
    counts = np.histogram(image[labels == 3], [-np.inf, *HISTOGRAM_EDGES, np.inf])[0]
    ours = [found[f"histogram_{k}"][3] for k in range(8)]
    np.testing.assert_allclose(ours, counts / counts.sum(), rtol=1e-6)


def test_stripes_are_coherent_and_noise_is_not() -> None:
    drawn, grid = np.random.default_rng(0), GraphRecipe(builder="grid", regions=4, texture=True)
    stripes = np.tile(np.sin(np.arange(64) / 2), (64, 1)).astype(np.float32)
    assert texture_of(stripes, grid)["coherence_1"].min() > 0.99
    assert texture_of(drawn.normal(size=(64, 64)).astype(np.float32), grid)["coherence_1"].max() < 0.3


def test_a_blank_image_has_no_texture() -> None:
    found = texture_of(np.zeros((32, 32), np.float32))
    assert all(np.all(found[name] == 0) for name in TEXTURE if not name.startswith("histogram"))
    assert np.all(found["histogram_4"] == 1)


def test_patterns_are_those_of_scikit_image() -> None:
    feature = pytest.importorskip("skimage.feature")
    whole = np.random.default_rng(2).integers(0, 60_000, (64, 64)).astype(np.uint16)
    image, recipe = whole.astype(np.float32)[None], GraphRecipe(regions=30, compactness=1e5, lbp=True)
    graph, labels = build_region_graph(image, recipe), superpixel_labels(image, recipe)
    codes = feature.local_binary_pattern(whole, 8, 1, "uniform").astype(int)
    inner = [k for k in range(graph.num_nodes) if graph.x[k, STATISTICS.index("border_share")] == 0]
    assert len(inner) > 5 and graph.x.shape[1] == len(STATISTICS) + 10
    for region in inner:
        counts = np.bincount(codes[labels == region], minlength=10)
        np.testing.assert_allclose(graph.x[region, -10:], counts / counts.sum(), atol=1.01 / counts.sum())


def test_patterns_of_a_turned_image_are_the_same_and_those_of_a_flat_one_are_all_set() -> None:
    recipe = GraphRecipe(builder="grid", regions=4, lbp=True)
    image = np.random.default_rng(1).normal(size=(1, 40, 40)).astype(np.float32)
    here, turned = (build_region_graph(one, recipe).x[:, -10:] for one in (image, np.rot90(image, axes=(1, 2)).copy()))
    assert np.array_equal(turned, here[[1, 3, 0, 2]])
    assert np.all(build_region_graph(np.full((1, 20, 20), 0.3, np.float32), recipe).x[:, -2] == 1)
