"""GPS: gated messages between neighbours and attention between all nodes of a graph, side by side.

Source: Rampášek et al. 2022, arXiv:2205.12454, eq. 3 to 7.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medray.models.gatedgcn import GatedLayer
from medray.models.graph_network import FeedForward, GraphNetwork, GraphOptions
from medray.models.segments import Segments
from medray.models.topology import Topology, place_in_graph


class GraphAttention(nn.Module):
    """Multi-head attention of each node to all nodes of its graph (Vaswani et al. 2017, arXiv:1706.03762, 3.2)."""

    def __init__(self, options: GraphOptions) -> None:
        super().__init__()
        options.channels_of_a_head()
        self.heads = options.heads
        self.maps = nn.Linear(options.width, 3 * options.width)
        self.out = nn.Linear(options.width, options.width)

    def forward(self, x: Float[Tensor, "nodes width"], topology: Topology) -> Float[Tensor, "nodes width"]:
        """What each node heard."""
        attend = _operator if torch.compiler.is_compiling() else _attended
        heard: Tensor = self.out(attend(self.maps(x), *topology.nodes, self.heads))
        return heard


def _attended(maps: Tensor, ids: Tensor, starts: Tensor, heads: int) -> Tensor:
    """Graphs padded to the longest one: memory grows with nodes, and not with their square.

    Args:
        maps: (nodes, 3 width), query, key and value.
        ids: graph of each node, as in `Segments`.
        starts: first node of each graph, as in `Segments`.
        heads: parts of the width.

    Returns:
        (nodes, width).
    """
    nodes = Segments(ids, starts)
    place, longest = place_in_graph(nodes)
    slots, slot = nodes.number * longest, ids * longest + place
    padded = maps.new_zeros(slots, maps.shape[1]).index_copy(0, slot, maps)
    real = torch.zeros(slots, dtype=torch.bool, device=maps.device).index_fill(0, slot, True)
    channels = maps.shape[1] // (3 * heads)
    query, key, value = padded.view(nodes.number, longest, 3, heads, channels).permute(2, 0, 3, 1, 4)
    heard = functional.scaled_dot_product_attention(query, key, value, attn_mask=real.view(nodes.number, 1, 1, longest))
    return heard.transpose(1, 2).reshape(slots, heads * channels).index_select(0, slot)


# one operation to torch.compile: the longest graph is in the data, and asking for it would end the compiled graph
_operator = torch.library.custom_op(
    "medray::attention_within_graphs",
    _attended,
    mutates_args=(),
    schema="(Tensor maps, Tensor ids, Tensor starts, int heads) -> Tensor",
)


@_operator.register_fake
def _shape(maps: Tensor, ids: Tensor, starts: Tensor, heads: int) -> Tensor:
    return maps.new_empty(maps.shape[0], maps.shape[1] // 3)


class GPSRound(nn.Module):
    """FeedForward(BN(x + gated layer) + BN(x + attention)); edges change as in `GatedRound`."""

    def __init__(self, options: GraphOptions, *, last: bool) -> None:
        super().__init__()
        self.layer = GatedLayer(options.width)
        self.attention = GraphAttention(options)
        self.local_norm = nn.BatchNorm1d(options.width)
        self.global_norm = nn.BatchNorm1d(options.width)
        self.edge_norm = None if last else nn.BatchNorm1d(options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.feed_forward = FeedForward(options)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges width"], topology: Topology
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "edges width"]]:
        """New node and edge features."""
        update, mixed = self.layer(x, edge_attr, topology)
        if self.edge_norm is not None:
            edge_attr = edge_attr + functional.relu(self.edge_norm(mixed))
        near = self.local_norm(x + self.dropout(update))
        far = self.global_norm(x + self.dropout(self.attention(x, topology)))
        return self.feed_forward(near + far), edge_attr


class GPS(GraphNetwork):
    """Graph transformer: gated messages and attention within each graph. It always has the feed-forward part."""

    default_width = 16
    edges = "state"

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return GPSRound(options, last=last)
