"""medray/models/random_walk.py."""

import pytest
import torch

from medray.models import random_walk
from medray.models.random_walk import random_walk_encodings
from medray.models.topology import topology_of
from tests.models.region_graphs import Inputs, join, random_graph, tensor
from tests.models.test_graph_network import relabelled


def encoded(graph: Inputs, steps: int = 5) -> torch.Tensor:
    """Encodings of a batch."""
    batch = tensor(graph, "batch")
    count = graph["num_graphs"]
    assert isinstance(count, int)
    return random_walk_encodings(topology_of(tensor(graph, "edge_index"), batch, count), steps)


def test_encodings_go_with_their_nodes_when_nodes_are_numbered_anew() -> None:
    graph, order = random_graph(20, 2), torch.randperm(20, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encoded(relabelled(graph, order)), encoded(graph)[order], atol=1e-6, rtol=0)


def test_encodings_do_not_see_the_batch() -> None:
    graphs = [random_graph(nodes, nodes) for nodes in (9, 1, 30, 2)]
    together = torch.cat([encoded(graph) for graph in graphs])
    torch.testing.assert_close(encoded(join(graphs)), together, atol=1e-6, rtol=0)
    other_order = torch.cat([encoded(graph) for graph in graphs[::-1]])
    torch.testing.assert_close(encoded(join(graphs[::-1])), other_order, atol=1e-6, rtol=0)


def test_encodings_are_the_diagonals_of_the_powers_of_the_transition_matrix() -> None:
    inputs = join([random_graph(nodes, nodes) for nodes in (7, 1, 40)])
    edge_index, batch = tensor(inputs, "edge_index"), tensor(inputs, "batch")
    edges = torch.zeros(48, 48).index_put((edge_index[0], edge_index[1]), torch.tensor(1.0))
    walk = edges / edges.sum(1, keepdim=True).clamp(min=1)
    expected = torch.stack([torch.linalg.matrix_power(walk, step).diagonal() for step in range(1, 6)], dim=1)
    got = random_walk_encodings(topology_of(edge_index, batch, 3), 5)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_graphs_with_more_nodes_than_columns_are_followed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = random_graph(40, 0)
    topology = topology_of(tensor(graph, "edge_index"), tensor(graph, "batch"), 1)
    whole = random_walk_encodings(topology, 4)
    monkeypatch.setattr(random_walk, "COLUMNS", 16)
    torch.testing.assert_close(random_walk_encodings(topology, 4), whole, atol=1e-6, rtol=0)


def test_encodings_are_torch_geometrics() -> None:
    transforms = pytest.importorskip("torch_geometric.transforms")
    from torch_geometric.data import Data

    graph = random_graph(25, 3)
    edge_index = tensor(graph, "edge_index")
    data = transforms.AddRandomWalkPE(6)(Data(edge_index=edge_index, num_nodes=25))
    got = random_walk_encodings(topology_of(edge_index, tensor(graph, "batch"), 1), 6)
    torch.testing.assert_close(got, data.random_walk_pe, atol=1e-6, rtol=0)
