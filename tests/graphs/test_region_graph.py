"""medray/graphs/region_graph.py."""

from dataclasses import replace

import numpy as np
import pytest

from medray.graphs.build import build_region_graph
from medray.graphs.region_graph import RegionGraph, index_type
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses


@pytest.fixture(scope="module")
def graph() -> RegionGraph:
    return build_region_graph(ellipses(48, 0)[0][None], GraphRecipe(regions=30))


def test_node_numbers_take_16_bits_up_to_65535_nodes() -> None:
    assert index_type(65_535) is np.uint16 and index_type(65_536) is np.int32


def test_networkx_has_the_same_edges(graph: RegionGraph) -> None:
    nx = pytest.importorskip("networkx")
    other = graph.to_networkx()
    assert sorted(map(list, other.edges)) == graph.edge_index.T.tolist()
    assert nx.is_connected(other) and nx.check_planarity(other)[0]
    source, target = graph.edge_index[:, 7].tolist()
    assert np.array_equal(other.edges[source, target]["edge_attr"], graph.edge_attr[7])


def test_a_broken_graph_is_named_by_its_rule(graph: RegionGraph) -> None:
    graph.check()
    broken = {
        "lower node first": replace(graph, edge_index=graph.edge_index[::-1].copy()),
        "lexicographic order": replace(graph, edge_index=graph.edge_index[:, ::-1].copy()),
        "does not exist": replace(graph, edge_index=graph.edge_index + np.uint16(5)),
        "wrong type": replace(graph, edge_index=graph.edge_index.astype(np.int32)),
        "not finite": replace(graph, x=np.full_like(graph.x, np.inf)),
    }
    for rule, other in broken.items():
        with pytest.raises(ValueError, match=rule):
            other.check()
