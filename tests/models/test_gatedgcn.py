"""medray/models/gatedgcn.py."""

import pytest
import torch
from torch import Tensor, nn

from medray.models.gatedgcn import EPSILON, GatedGCN, GatedLayer
from tests.models.region_graphs import join, random_graph, tensor


def by_hand(layer: GatedLayer, x: Tensor, edge_attr: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor]:
    """The equations of Dwivedi et al. 2020, node by node and edge by edge."""
    own, message, at_target, at_source = layer.node_maps(x).chunk(4, dim=1)
    mixed = torch.stack(
        [
            layer.edge_map(edge_attr[k]) + at_target[target] + at_source[source]
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
    new_x = x + torch.relu(layer.node_norm(torch.stack(update)))
    return new_x, edge_attr + torch.relu(layer.edge_norm(mixed))


def test_the_layer_equals_its_equations() -> None:
    torch.manual_seed(0)
    graph, layer = random_graph(12, 0, 8, 8), GatedLayer(8)
    arguments = [tensor(graph, name) for name in ("x", "edge_attr", "edge_index")]
    for got, expected in zip(layer(*arguments), by_hand(layer, *arguments), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_without_edge_features_and_normalisation_it_is_pygs_gated_graph_convolution() -> None:
    res_gated = pytest.importorskip("torch_geometric.nn").ResGatedGraphConv
    torch.manual_seed(0)
    graph, layer, peer = random_graph(12, 1, 8, 8), GatedLayer(8), res_gated(8, 8)
    with torch.no_grad():
        own, message, at_target, at_source = (part.clone() for part in layer.node_maps.weight.chunk(4))
        layer.node_maps.bias.zero_()
        for linear, weight in ((peer.lin_key, at_target), (peer.lin_query, at_source), (peer.lin_value, message)):
            linear.weight.copy_(weight)
            linear.bias.zero_()
        peer.lin_skip.weight.copy_(own)
        layer.edge_map.weight.zero_()
        layer.edge_map.bias.zero_()
    x, edge_attr, edge_index = (tensor(graph, name) for name in ("x", "edge_attr", "edge_index"))
    layer.node_norm = nn.BatchNorm1d(8, eps=0).eval()  # the identity
    source, target = edge_index
    gates = torch.sigmoid(x[target] @ at_target.T + x[source] @ at_source.T)
    summed = torch.zeros_like(x).index_add(0, target, gates) + EPSILON
    skipped = x @ own.T
    expected = x + torch.relu(skipped + (peer(x, edge_index) - skipped) / summed)
    torch.testing.assert_close(layer(x, edge_attr, edge_index)[0], expected, atol=1e-5, rtol=0)


def test_the_order_of_nodes_does_not_matter() -> None:
    graph, model = random_graph(20, 2), GatedGCN(5, 3, 2).eval()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    edge_index = torch.argsort(order)[tensor(graph, "edge_index")]
    by_target = torch.argsort(edge_index[1], stable=True)
    shuffled = {
        **graph,
        "x": tensor(graph, "x")[order],
        "edge_index": edge_index[:, by_target],
        "edge_attr": tensor(graph, "edge_attr")[by_target],
    }
    torch.testing.assert_close(model(**shuffled), model(**graph), atol=1e-5, rtol=0)


def test_a_graph_does_not_see_its_batch_in_evaluation() -> None:
    graphs, model = [random_graph(nodes, nodes) for nodes in (2, 9, 30)], GatedGCN(5, 3, 4).eval()
    alone = torch.cat([model(**graph) for graph in graphs])
    torch.testing.assert_close(model(**join(graphs)), alone, atol=1e-6, rtol=0)


def test_a_single_region_without_neighbours_is_a_graph() -> None:
    graph = random_graph(1, 0)
    graph["edge_index"], graph["edge_attr"] = torch.empty(2, 0, dtype=torch.int64), torch.empty(0, 3)
    assert GatedGCN(5, 3, 2).eval()(**graph).isfinite().all()


def test_every_weight_gets_a_gradient_so_that_ddp_does_not_wait() -> None:
    model = GatedGCN(5, 3, 2)
    logits = model(**join([random_graph(8, 0), random_graph(9, 1)]))
    torch.autograd.backward(nn.functional.cross_entropy(logits, torch.tensor([0, 1])))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
