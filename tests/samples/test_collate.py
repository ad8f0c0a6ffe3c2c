"""Rows of prepared samples to tensors: the same numbers, in order, whatever the chunks."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.graphs.features import STATISTICS
from medray.image_settings import GraphRecipe
from medray.models.segments import segment_mean
from medray.samples.collate import batches, collate
from medray.samples.tables import flat_lists, to_graphs, usable
from medray.settings import Recipe

RECIPE = Recipe(size=24, graph=GraphRecipe(regions=12))


def _images(count):
    return np.random.default_rng(0).normal(size=(count, 1, 24, 24)).astype(np.float32)


def _samples(count, kind):
    images = _images(count)
    table = pa.table({"sample_id": [f"s{n}" for n in range(count)], "label_number": pa.array(range(count), pa.int64())})
    if kind == "image":
        return table.append_column("image", flat_lists([image.ravel() for image in images]))
    graphs = graphs_to_arrow([build_region_graph(image, RECIPE.graph) for image in images])
    for name in graphs.column_names:
        table = table.append_column(name, graphs[name])
    return table


def test_images_labels_and_ids_come_in_the_order_of_the_rows():
    batch = collate(_samples(5, "image").take([3, 0, 4]), RECIPE)
    torch.testing.assert_close(batch.inputs["image"], torch.from_numpy(_images(5)[[3, 0, 4]]), rtol=0, atol=0)
    assert (batch.labels.tolist(), batch.sample_ids, len(batch)) == ([3, 0, 4], ["s3", "s0", "s4"], 3)


def test_regions_name_the_node_of_each_pixel():
    images = _images(3)
    flat = pa.table({"sample_id": ["a", "b", "c"], "status": ["ok", "failed", "ok"]})
    flat = flat.append_column("image", flat_lists([images[0].ravel(), None, images[2].ravel()]))
    samples = to_graphs(flat, RECIPE, "regions")
    assert samples["regions"].to_pylist()[1] is None
    inputs = collate(usable(samples), RECIPE).inputs
    x, batch, regions = (torch.as_tensor(inputs[name]) for name in ("x", "batch", "regions"))
    assert torch.equal(batch[regions], torch.arange(2)[:, None, None].expand(2, 24, 24))
    pixels = torch.as_tensor(inputs["image"]).flatten()
    means = segment_mean(pixels[:, None], regions.flatten(), len(x))[:, 0]
    torch.testing.assert_close(x[:, STATISTICS.index("mean")], means, atol=1e-5, rtol=0)


def test_graphs_are_joined_with_their_nodes_numbered_on():
    samples = _samples(4, "graph")
    batch = collate(samples, RECIPE)
    nodes = samples["num_nodes"].to_pylist()
    assert batch.inputs["num_graphs"] == 4
    assert torch.bincount(torch.as_tensor(batch.inputs["batch"])).tolist() == nodes
    edges, graph = torch.as_tensor(batch.inputs["edge_index"]), torch.as_tensor(batch.inputs["batch"])
    assert edges.shape[1] == 2 * sum(samples["num_edges"].to_pylist())
    assert torch.equal(graph[edges[0]], graph[edges[1]])
    assert bool((edges[1].diff() >= 0).all())


@pytest.mark.parametrize("kind", ["image", "graph"])
def test_a_batch_does_not_depend_on_chunks_or_slices(kind):
    samples = _samples(5, kind)
    whole = collate(samples.slice(1, 3), RECIPE)
    pieces = collate(pa.concat_tables([samples.slice(n, 1) for n in (1, 2, 3)]), RECIPE)
    for name, value in whole.inputs.items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(pieces.inputs[name]))


@pytest.mark.parametrize("kind", ["image", "graph"])
def test_batches_hold_every_row_once_and_the_last_one_the_rest(kind):
    found = list(batches(_samples(7, kind), RECIPE, 3))
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert [name for batch in found for name in batch.sample_ids] == [f"s{n}" for n in range(7)]


def test_no_labels_give_no_labels():
    assert collate(_samples(2, "image").drop_columns(["label_number"]), RECIPE).labels is None


def test_tensors_may_be_written_to_and_leave_the_samples_as_they_are():
    samples = _samples(2, "image")
    collate(samples, RECIPE).inputs["image"].zero_()
    torch.testing.assert_close(collate(samples, RECIPE).inputs["image"], torch.from_numpy(_images(2)))


def test_moving_a_batch_keeps_what_it_holds():
    batch = collate(_samples(3, "graph"), RECIPE)
    moved = batch.to("cpu")
    assert moved.sample_ids == batch.sample_ids and moved.inputs["num_graphs"] == 3
    assert torch.equal(moved.inputs["x"], batch.inputs["x"])
