"""medray/models/gatedgcn.py."""

import torch
from torch import Tensor

from medray.models.gatedgcn import EPSILON, GatedLayer, GatedRound
from medray.models.graph_network import GraphOptions
from medray.models.topology import topology_of
from tests.models.region_graphs import random_graph, tensor


def by_hand(layer: GatedRound, x: Tensor, edge_attr: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """The equations of Dwivedi et al. 2020, node by node and edge by edge."""
    inside = layer.layer
    assert isinstance(inside, GatedLayer)
    own, message, at_target, at_source = inside.node_maps(x).chunk(4, dim=1)
    mixed = torch.stack(
        [
            inside.edge_map(edge_attr[k]) + at_target[target] + at_source[source]
            for k, (source, target) in enumerate(edge_index.T.tolist())
        ]
    )
    update = []
    for node in range(x.shape[0]):
        arriving = [k for k, target in enumerate(edge_index[1].tolist()) if target == node]
        gates = sum(torch.sigmoid(mixed[k]) for k in arriving)
        passed = sum(torch.sigmoid(mixed[k]) * message[edge_index[0, k]] for k in arriving)
        update.append(own[node] + passed / (gates + EPSILON))
    assert layer.edge_norm is not None
    new_x = x + torch.relu(layer.norm(torch.stack(update)))
    return new_x, edge_attr + torch.relu(layer.edge_norm(mixed))


def test_a_round_equals_its_equations() -> None:
    torch.manual_seed(0)
    graph, layer = random_graph(12, 0, 8, 8), GatedRound(GraphOptions(8), last=False)
    x, edge_attr, edge_index, batch = (tensor(graph, name) for name in ("x", "edge_attr", "edge_index", "batch"))
    got = layer(x, edge_attr, topology_of(edge_index, batch, 1))
    for new, expected in zip(got, by_hand(layer, x, edge_attr, edge_index), strict=True):
        torch.testing.assert_close(new, expected, atol=1e-5, rtol=0)
