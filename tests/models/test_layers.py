"""Each layer against torch_geometric's own, with the same weights: outputs and gradients."""

import pytest
import torch
from torch import Tensor

from medray.models.gatedgcn import EPSILON
from medray.models.topology import Topology, topology_of
from tests.models import pyg_peers
from tests.models.region_graphs import join, random_graph, tensor

pytest.importorskip("torch_geometric")
WIDTH, EDGE_WIDTH, HEADS = 8, 3, pyg_peers.HEADS


def batch_of(edge_width: int) -> tuple[Tensor, Tensor, Tensor, Topology]:
    """Three graphs, one of them a node without neighbours: x, edge_index, edge_attr, topology."""
    inputs = join([random_graph(nodes, nodes, WIDTH, edge_width) for nodes in (12, 1, 30)])
    x, edge_index, edge_attr, batch = (tensor(inputs, name) for name in ("x", "edge_index", "edge_attr", "batch"))
    return x.requires_grad_(), edge_index, edge_attr.requires_grad_(), topology_of(edge_index, batch, 3)


@pytest.mark.parametrize("name", ["gcn", "sage", "gin", "gat", "pna"])
def test_a_layer_with_torch_geometrics_weights_gives_its_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    pair = pyg_peers.PAIRS[name](WIDTH, EDGE_WIDTH)
    x, edge_index, edge_attr, topology = batch_of(EDGE_WIDTH)
    own, peer = pair.answer(x, edge_attr, topology), pair.call(x, edge_index, edge_attr, topology.nodes.ids)
    torch.testing.assert_close(own, peer, atol=1e-5, rtol=0)
    # gradients in double precision: in single, those of torch_geometric's deviation are wrong by up to 4e-4
    pair.own.double(), pair.peer.double()
    x, edge_attr = (values.detach().double().requires_grad_() for values in (x, edge_attr))
    own, peer = pair.answer(x, edge_attr, topology), pair.call(x, edge_index, edge_attr, topology.nodes.ids)
    upstream = torch.randn_like(own)
    reads = [x, edge_attr] if name in ("gin", "gat", "pna") else [x]
    for got, expected in zip(*(torch.autograd.grad(y, reads, upstream) for y in (own, peer)), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_the_gated_layer_is_torch_geometrics_divided_by_the_sum_of_its_gates() -> None:
    torch.manual_seed(0)
    pair = pyg_peers.gatedgcn(WIDTH, WIDTH)
    x, edge_index, edge_attr, topology = batch_of(WIDTH)
    skipped = pair.peer.lin_skip(x) + pair.peer.bias
    passed = pair.call(x, edge_index, edge_attr, topology.nodes.ids) - skipped
    with torch.no_grad():
        pair.peer.lin_value.weight.zero_()
        pair.peer.lin_value.bias.fill_(1)
    gates = pair.call(x, edge_index, edge_attr, topology.nodes.ids) - skipped
    expected = skipped + passed / (gates + EPSILON)
    torch.testing.assert_close(pair.answer(x, edge_attr, topology), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("training", [False, True])
def test_a_round_of_gps_is_torch_geometrics_around_the_same_local_layer(training: bool) -> None:
    torch.manual_seed(0)
    pair = pyg_peers.gps_around_ours(WIDTH, WIDTH)
    pair.own.train(training), pair.peer.train(training)
    x, edge_index, edge_attr, topology = batch_of(WIDTH)
    peer = pair.call(x, edge_index, edge_attr, topology.nodes.ids, topology=topology)
    torch.testing.assert_close(pair.answer(x, edge_attr, topology), peer, atol=1e-5, rtol=0)


def test_attention_readout_is_torch_geometrics() -> None:
    from torch_geometric.nn import AttentionalAggregation

    from medray.models.readout import AttentionReadout

    torch.manual_seed(0)
    own = AttentionReadout(WIDTH)
    x, _, _, topology = batch_of(WIDTH)
    peer = AttentionalAggregation(own.score)(x, topology.nodes.ids, dim_size=3)
    torch.testing.assert_close(own(x, topology.nodes), peer, atol=1e-6, rtol=0)
