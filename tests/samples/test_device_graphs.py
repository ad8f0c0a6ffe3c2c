"""medray/samples/device_graphs.py and what it is made of, against the graphs of the compiled kernels."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.errors import SampleError
from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.image_settings import GraphRecipe
from medray.samples.collate import graph_inputs
from medray.samples.device_graphs import build_graphs_on, describe_labels_on, has_device_path, superpixel_labels_on
from medray.settings import Recipe
from tests.graphs.ellipses import ellipses

RECIPES = [
    GraphRecipe(regions=30),
    GraphRecipe(regions=40, texture=True, position=True),
    GraphRecipe(builder="grid", regions=36, texture=True, position=True),
]
NAMES = ("x", "edge_index", "edge_attr", "batch")


def images_of(rows, columns, count, noise=0.1):
    planes = [ellipses(max(rows, columns, 40), seed, noise)[0][:rows, :columns] for seed in range(count)]
    return np.ascontiguousarray(np.stack(planes)[:, None])


def by_kernels(images, recipe):
    graphs = [build_region_graph(image, recipe) for image in images]
    inputs = graph_inputs(graphs_to_arrow(graphs), Recipe(graph=recipe))
    return inputs, np.concatenate([graph.pos for graph in graphs])


def built(images, recipe) -> dict[str, Any]:
    return build_graphs_on(images, recipe)


def kernel_labels(images, recipe):
    return np.stack([superpixel_labels(image, recipe) for image in images])


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (28, 28), (20, 90), (1, 30)])
def test_the_same_labels_have_the_same_features_and_edges(rows, columns, recipe):
    images = images_of(rows, columns, 3)
    labels = torch.from_numpy(kernel_labels(images, recipe)).long()
    found = describe_labels_on(torch.from_numpy(images[:, 0]), labels, recipe)
    wanted, pos = by_kernels(images, recipe)
    assert torch.equal(found["edge_index"], wanted["edge_index"]) and torch.equal(found["batch"], wanted["batch"])
    assert found["num_graphs"] == 3 and found["ptr"].diff().tolist() == torch.bincount(wanted["batch"]).tolist()
    torch.testing.assert_close(found["x"], wanted["x"], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found["edge_attr"], wanted["edge_attr"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["pos"], pos, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("size", "regions", "noise"), [(28, 81, 0.05), (28, 81, 0.3), (96, 100, 0.02), (96, 60, 0.3)])
def test_labels_are_the_kernels(size, regions, noise):
    recipe, images = GraphRecipe(regions=regions), images_of(size, size, 6, noise)
    found = superpixel_labels_on(torch.from_numpy(images), recipe).numpy()
    assert np.array_equal(found, kernel_labels(images, recipe))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_is_the_collated_graphs_of_its_images(recipe):
    images = images_of(56, 56, 4, noise=0.05)
    found = built(torch.from_numpy(images), recipe)
    wanted, _ = by_kernels(images, recipe)
    assert np.array_equal(found["label_map"].numpy(), kernel_labels(images, recipe))
    for name in NAMES:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.sampled_from(["superpixel", "grid"]))
def test_images_of_any_size_make_graphs_of_the_kernels_regions(rows, columns, regions, builder):
    recipe = GraphRecipe(builder=builder, regions=regions, texture=True)
    images = images_of(rows, columns, 2)
    found = built(torch.from_numpy(images), recipe)
    for number, image in enumerate(images):
        labels = found["label_map"][number].numpy()
        assert np.array_equal(np.unique(labels), np.arange(int(found["ptr"][number + 1] - found["ptr"][number])))
        assert np.array_equal(labels, superpixel_labels(image, recipe))
    assert bool(found["x"].isfinite().all()) and bool(found["edge_attr"].isfinite().all())
    assert bool((found["batch"][found["edge_index"][0]] == found["batch"][found["edge_index"][1]]).all())


@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_a_graph_does_not_depend_on_its_batch(recipe):
    images = torch.from_numpy(images_of(48, 48, 5))
    whole, alone = built(images, recipe), built(images[2:3], recipe)
    start, end = whole["ptr"][2:4].tolist()
    assert torch.equal(whole["x"][start:end], alone["x"])
    inside = whole["batch"][whole["edge_index"][0]] == 2
    assert torch.equal(whole["edge_index"][:, inside] - start, alone["edge_index"])
    assert torch.equal(whole["edge_attr"][inside], alone["edge_attr"])


def test_every_step_has_a_deterministic_algorithm():
    images = torch.from_numpy(images_of(48, 48, 3))
    free = built(images, RECIPES[1])
    torch.set_deterministic_debug_mode("error")
    try:
        strict = built(images, RECIPES[1])
    finally:
        torch.set_deterministic_debug_mode("default")
    assert all(torch.equal(free[name], strict[name]) for name in (*NAMES, "label_map"))


@pytest.mark.parametrize(
    ("recipe", "there"),
    [
        (Recipe(), True),
        (Recipe(graph=RECIPES[2]), True),
        (Recipe(channels=3), False),
        (Recipe(graph=GraphRecipe(builder="knn")), False),
        (Recipe(graph=GraphRecipe(builder="multiscale")), False),
        (Recipe(graph=GraphRecipe(lbp=True)), False),
    ],
)
def test_only_graphs_of_grey_images_without_levels_or_patterns_are_made_on_a_device(recipe, there):
    assert has_device_path(recipe) == there


def test_a_blank_image_becomes_blocks_beside_any_other():
    recipe = GraphRecipe(regions=36)
    images = images_of(60, 60, 2)
    images[1] = 0
    found = built(torch.from_numpy(images), recipe)
    assert np.array_equal(found["label_map"].numpy(), kernel_labels(images, recipe))
    assert int(found["ptr"][2] - found["ptr"][1]) == 36


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value):
    images = torch.zeros(2, 1, 8, 8)
    images[1, 0, 3, 3] = value
    with pytest.raises(SampleError, match="unsupported_pixels: 1 pixels are not finite"):
        build_graphs_on(images, RECIPES[0])


def test_images_without_pixels_are_refused():
    with pytest.raises(SampleError, match="without pixels"):
        superpixel_labels_on(torch.zeros(2, 1, 0, 8), replace(RECIPES[0], texture=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_gpu_makes_the_same_graphs(recipe):
    images = torch.from_numpy(images_of(64, 64, 8))
    torch.set_deterministic_debug_mode("error")
    try:
        there = built(images.cuda(), recipe)
    finally:
        torch.set_deterministic_debug_mode("default")
    here = built(images, recipe)
    assert torch.equal(there["label_map"].cpu(), here["label_map"])
    for name in NAMES:
        torch.testing.assert_close(there[name].cpu(), here[name], rtol=1e-6, atol=1e-6)
