"""medray/samples/pyg.py."""

import numpy as np
import pytest

from medray.graphs.build import build_region_graph
from medray.image_settings import GraphRecipe
from medray.samples.pyg import to_pyg
from tests.graphs.ellipses import ellipses


@pytest.mark.parametrize("builder", ["superpixel", "multiscale"])
def test_torch_geometric_finds_a_sound_undirected_graph(builder: str) -> None:
    pytest.importorskip("torch_geometric")
    graph = build_region_graph(ellipses(40, 0)[0][None], GraphRecipe(builder=builder, regions=30))
    data = to_pyg(graph)
    assert data.validate() and data.is_undirected() and data.is_coalesced()
    assert (data.num_nodes, data.num_edges) == (graph.num_nodes, 2 * graph.num_edges)
    source, target = data.edge_index.numpy()
    up = source < target
    assert np.array_equal(data.edge_index.numpy()[:, up], graph.edge_index)
    assert np.array_equal(data.edge_attr.numpy()[up], graph.edge_attr)
    assert np.array_equal(data.level.numpy(), graph.level)
