"""GATv2: each node asks which neighbours to hear.

Source: Brody et al. 2022, arXiv:2105.14491, eq. 7.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.segments import softmax_powers
from medray.models.topology import Topology, at_source, at_target, edge_sum, plus_edges, weighed_sum

SLOPE = 0.2
"""Of the leaky ReLU below zero, as in the paper."""


class GATLayer(nn.Module):
    """Mean of the neighbours' W1 h_j + b1, weighed in each head by the softmax of a . LeakyReLU(z) over the neighbours.

    z = W1 h_j + b1 + W2 h_i + b2 + W3 e. A node without neighbours gets zero.
    """

    def __init__(self, options: GraphOptions, edge_width: int) -> None:
        super().__init__()
        width, channels = options.width, options.channels_of_a_head()
        self.source_map = nn.Linear(width, width)
        self.target_map = nn.Linear(width, width)
        self.edge_map = nn.Linear(edge_width, width, bias=False)
        self.attention = nn.Parameter(nn.init.xavier_uniform_(torch.empty(options.heads, channels)))

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> Float[Tensor, "nodes width"]:
        """What the round adds."""
        values = self.source_map(x)
        mixed = plus_edges(at_source(values, topology), self.edge_map, edge_attr)
        mixed = functional.leaky_relu_(mixed.add_(at_target(self.target_map(x), topology)), SLOPE)
        # one product instead of one a head: each column holds one head's vector, and zeros for the others
        columns = torch.diag_embed(self.attention.T).permute(1, 0, 2).flatten(0, 1)
        powers = softmax_powers(mixed @ columns, topology.edges)
        total = edge_sum(powers, topology).clamp(min=0.5)
        heard = weighed_sum(values, powers.to(values.dtype), topology).view(len(x), *self.attention.shape)
        mean: Tensor = heard / total[:, :, None]
        return mean.flatten(1)


class GAT(GraphNetwork):
    """Graph attention network (v2) with edge features."""

    default_width = 36
    edges = "features"

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(GATLayer(options, edge_features), options)
