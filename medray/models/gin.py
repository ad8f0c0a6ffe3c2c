"""GIN with edge features (GINE): a perceptron on the sum of what neighbours and edges bring.

Source: Xu et al. 2019, arXiv:1810.00826, eq. 4.1; edge features as in Hu et al. 2020, arXiv:1905.12265, appendix C.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.topology import Topology, at_source, edge_sum, plus_edges


class GINLayer(nn.Module):
    """MLP((1 + eps) h_i + sum over edges j -> i of ReLU(h_j + W e + b)), eps learned from 0."""

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.edge_map = nn.Linear(edge_width, width)
        self.eps = nn.Parameter(torch.zeros(()))
        self.perceptron = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> Float[Tensor, "nodes width"]:
        """What the round adds."""
        messages = plus_edges(at_source(x + self.edge_map.bias, topology), self.edge_map, edge_attr).relu_()
        update: Tensor = self.perceptron(torch.addcmul(x, x, self.eps) + edge_sum(messages, topology))
        return update


class GIN(GraphNetwork):
    """Graph isomorphism network with edge features."""

    default_width = 36
    edges = "features"

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(GINLayer(options.width, edge_features), options)
