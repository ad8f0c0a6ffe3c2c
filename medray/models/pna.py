"""PNA: mean, maximum and standard deviation of what neighbours say, each at three scales of the degree.

Source: Corso et al. 2020, arXiv:2004.05718, eq. 5 to 8, with one tower and one linear map before and after.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.segments import segment_max
from medray.models.topology import Topology, at_source, edge_sum, plus_edges

LOG_DEGREE = math.log(6)
"""Unit of log(degree + 1): that of 5 neighbours, about what regions of an image have. The next linear map takes up
what the training set's own mean would change."""

SMALLEST_VARIANCE = 1e-5
"""Below it the deviation is 0: the square root has no gradient there."""


class PNALayer(nn.Module):
    """W0 h_i + W1 a + log(d + 1) / c W2 a + c / log(d + 1) W3 a + b, with a = mean | max | deviation of the messages.

    A message is m = M1 h_i + M2 h_j + M3 e + b. What node i itself puts in is the same in all its messages: it moves
    their mean and maximum by as much and leaves their deviation, and need not be gathered for edges.
    """

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.node_maps = nn.Linear(width, 2 * width)
        self.edge_map = nn.Linear(edge_width, width, bias=False)
        self.own_map = nn.Linear(width, width)
        self.scaled_maps = nn.Linear(3 * width, 3 * width, bias=False)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> Float[Tensor, "nodes width"]:
        """What the round adds."""
        degree = topology.degree
        aggregated = self._aggregate(x, edge_attr, topology, degree)
        log_degree = torch.log(degree.clamp(min=1) + 1) / LOG_DEGREE
        plain, amplified, attenuated = self.scaled_maps(aggregated).chunk(3, dim=1)
        update: Tensor = self.own_map(x) + plain + log_degree * amplified + attenuated / log_degree
        return update

    def _aggregate(
        self,
        x: Float[Tensor, "nodes width"],
        edge_attr: Float[Tensor, "edges edge_width"],
        topology: Topology,
        degree: Float[Tensor, "nodes 1"],
    ) -> Float[Tensor, "nodes tripled"]:
        own, sent = self.node_maps(x).chunk(2, dim=1)
        messages = plus_edges(at_source(sent, topology), self.edge_map, edge_attr)
        count = degree.clamp(min=1)
        mean = edge_sum(messages, topology) / count
        variance = edge_sum(messages.square(), topology) / count - mean.square()
        deviation = variance.clamp(min=SMALLEST_VARIANCE).sqrt() * (variance > SMALLEST_VARIANCE)
        highest = segment_max(messages, topology.edges)
        own = own * (degree > 0)
        return torch.cat([own + mean, own + highest, deviation], dim=1)


class PNA(GraphNetwork):
    """Principal neighbourhood aggregation with edge features."""

    default_width = 16
    edges = "features"

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(PNALayer(options.width, edge_features), options)
