"""torch_geometric's layers with the weights of ours: what each has to be told so that the two compute the same.

`benchmarks/layers.py` times these pairs, and `test_layers.py` holds their outputs to each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medray.models.gat import GATLayer
from medray.models.gatedgcn import GatedLayer
from medray.models.gcn import GCNLayer
from medray.models.gin import GINLayer
from medray.models.gps import GPSRound
from medray.models.graph_network import GraphOptions
from medray.models.pna import LOG_DEGREE, PNALayer
from medray.models.sage import SAGELayer
from medray.models.topology import Topology

HEADS = 4


@dataclass(frozen=True)
class Pair:
    """A layer of ours and torch_geometric's.

    Attributes:
        own: ours, called with (x, edge_attr, topology).
        peer: theirs, called through `call`.
        call: (x, edge_index, edge_attr, batch) to node features.
    """

    own: nn.Module
    peer: Any
    call: Callable[..., Tensor]

    def answer(self, x: Tensor, edge_attr: Tensor, topology: Topology) -> Tensor:
        """Node features by our layer."""
        answer: Any = self.own(x, edge_attr, topology)
        return answer[0] if isinstance(answer, tuple) else answer


def _copy(parameter: Tensor, value: Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(value)


def _copy_linear(peer: nn.Module, own: nn.Linear) -> None:
    _copy(peer.weight, own.weight)
    if peer.bias is not None:
        _copy(peer.bias, torch.zeros_like(peer.bias) if own.bias is None else own.bias)


def gcn(width: int, edge_width: int) -> Pair:
    """GCNConv as it comes: it adds the loops and weighs by degrees itself. It has no edge features."""
    from torch_geometric.nn import GCNConv

    own, peer = GCNLayer(width), GCNConv(width, width)
    _copy(peer.lin.weight, own.linear.weight)
    _copy(peer.bias, own.linear.bias)
    return Pair(own, peer, lambda x, edge_index, _edge_attr, _batch: peer(x, edge_index))


def sage(width: int, edge_width: int) -> Pair:
    """SAGEConv as it comes (mean, no normalisation); its bias stands with the neighbours, ours with the node."""
    from torch_geometric.nn import SAGEConv

    own, peer = SAGELayer(width), SAGEConv(width, width)
    _copy(peer.lin_l.weight, own.neighbour_map.weight)
    _copy(peer.lin_l.bias, own.own_map.bias)
    _copy(peer.lin_r.weight, own.own_map.weight)
    return Pair(own, peer, lambda x, edge_index, _edge_attr, _batch: peer(x, edge_index))


def gin(width: int, edge_width: int) -> Pair:
    """GINEConv with a learned eps, the same perceptron, and `edge_dim`."""
    from torch_geometric.nn import GINEConv

    own = GINLayer(width, edge_width)
    inside = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
    peer = GINEConv(inside, train_eps=True, edge_dim=edge_width)
    inside.load_state_dict(own.perceptron.state_dict())
    _copy(own.eps, torch.tensor(0.3))
    _copy(peer.eps, torch.tensor(0.3))
    _copy_linear(peer.lin, own.edge_map)
    return Pair(own, peer, lambda x, edge_index, edge_attr, _batch: peer(x, edge_index, edge_attr))


def gat(width: int, edge_width: int) -> Pair:
    """GATv2Conv with `edge_dim` and no loops added: our rounds are residual. Its bias after the sum is zero."""
    from torch_geometric.nn import GATv2Conv

    own = GATLayer(GraphOptions(width, heads=HEADS), edge_width)
    peer = GATv2Conv(width, width // HEADS, heads=HEADS, edge_dim=edge_width, add_self_loops=False)
    _copy_linear(peer.lin_l, own.source_map)
    _copy_linear(peer.lin_r, own.target_map)
    _copy_linear(peer.lin_edge, own.edge_map)
    _copy(peer.att, own.attention[None])
    _copy(peer.bias, torch.zeros(width))
    return Pair(own, peer, lambda x, edge_index, edge_attr, _batch: peer(x, edge_index, edge_attr))


def gatedgcn(width: int, edge_width: int) -> Pair:
    """ResGatedGraphConv with `edge_dim`: the edge stands in the key alone, and its sum is not divided by the gates'.

    `test_layers.py` divides it: with a value of one everywhere the same layer answers with the sum of the gates.
    """
    from torch_geometric.nn import ResGatedGraphConv

    own, peer = GatedLayer(width), ResGatedGraphConv(width, width, edge_dim=width)
    skip, value, key, query = own.node_maps.weight.chunk(4)
    skip_bias, value_bias, key_bias, query_bias = own.node_maps.bias.chunk(4)
    none = torch.zeros(width, width)
    _copy(peer.lin_key.weight, torch.cat([key, own.edge_map.weight], dim=1))
    _copy(peer.lin_key.bias, key_bias + own.edge_map.bias)
    for linear, weight, bias in ((peer.lin_query, query, query_bias), (peer.lin_value, value, value_bias)):
        _copy(linear.weight, torch.cat([weight, none], dim=1))
        _copy(linear.bias, bias)
    _copy(peer.lin_skip.weight, skip)
    _copy(peer.bias, skip_bias)
    return Pair(own, peer, lambda x, edge_index, edge_attr, _batch: peer(x, edge_index, edge_attr))


def pna(width: int, edge_width: int) -> Pair:
    """PNAConv with one tower, one linear map before and after, mean | max | std and the scalers 1, log d, 1 / log d.

    Its last linear map is the identity, and its edge encoder takes the place of our edge map: two linear maps one
    after the other are one. The mean log degree of a training set becomes our constant.
    """
    from torch_geometric.nn import PNAConv

    own = PNALayer(width, edge_width)
    scalers = ["identity", "amplification", "attenuation"]
    peer = PNAConv(width, width, ["mean", "max", "std"], scalers, torch.ones(8, dtype=torch.int64), edge_dim=edge_width)
    before, after = peer.pre_nns[0][0], peer.post_nns[0][0]
    _copy_linear(peer.edge_encoder, own.edge_map)
    _copy(before.weight, torch.cat([*own.node_maps.weight.chunk(2), torch.eye(width)], dim=1))
    own_bias, sent_bias = own.node_maps.bias.chunk(2)
    _copy(before.bias, own_bias + sent_bias)
    _copy(after.weight, torch.cat([own.own_map.weight, *own.scaled_maps.weight.chunk(3)], dim=1))
    _copy(after.bias, own.own_map.bias)
    _copy(peer.lin.weight, torch.eye(width))
    _copy(peer.lin.bias, torch.zeros(width))
    _copy(peer.aggr_module.avg_deg_log, torch.tensor([LOG_DEGREE]))
    return Pair(own, peer, lambda x, edge_index, edge_attr, _batch: peer(x, edge_index, edge_attr))


def gps(width: int, edge_width: int) -> Pair:
    """GPSConv with batch norm and multi-head attention around torch_geometric's own gated layer.

    That local layer does not divide by the sum of the gates, so the benchmark alone takes this pair.
    """
    local = gatedgcn(width, edge_width)
    return _gps_around(local.own, local.peer, width)


def gps_around_ours(width: int, edge_width: int) -> Pair:
    """GPSConv with batch norm and multi-head attention around our gated layer: all but that layer is theirs."""
    local = GatedLayer(width)
    return _gps_around(local, _Local(local), width)


class _Local(nn.Module):
    """Our gated layer in the form that GPSConv calls."""

    def __init__(self, layer: GatedLayer) -> None:
        super().__init__()
        self.layer = layer

    def reset_parameters(self) -> None:
        """The weights stay."""

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, topology: Topology) -> Tensor:
        new: Tensor = self.layer(x, edge_attr, topology)[0]
        return new


def _gps_around(local: nn.Module, conv: nn.Module, width: int) -> Pair:
    from torch_geometric.nn import GPSConv

    weights = {name: value.clone() for name, value in conv.state_dict().items()}
    own = GPSRound(GraphOptions(width, heads=HEADS), last=False)
    own.layer = local
    peer = GPSConv(width, conv, heads=HEADS, norm="batch_norm")
    conv.load_state_dict(weights)  # GPSConv draws them anew
    _copy(peer.attn.in_proj_weight, own.attention.maps.weight)
    _copy(peer.attn.in_proj_bias, own.attention.maps.bias)
    _copy_linear(peer.attn.out_proj, own.attention.out)
    peer.mlp.load_state_dict(own.feed_forward.inside.state_dict())

    def call(x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, **more: Any) -> Tensor:
        new: Tensor = peer(x, edge_index, batch, edge_attr=edge_attr, **more)
        return new

    return Pair(own, peer, call)


PAIRS = {"gcn": gcn, "sage": sage, "gin": gin, "gat": gat, "gatedgcn": gatedgcn, "pna": pna, "gps": gps}
EDGE_STATE = ("gatedgcn", "gps")
"""Layers whose edges are as wide as their nodes."""
