"""GCN: the mean over neighbours and oneself, weighed by degrees.

Source: Kipf & Welling 2017, arXiv:1609.02907, eq. 2.
"""

from jaxtyping import Float
from torch import Tensor, nn

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.topology import Topology, neighbour_sum


class GCNLayer(nn.Module):
    """W (sum over neighbours and i itself of h_j / sqrt((d_i + 1) (d_j + 1))) + b, with d the degrees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> Float[Tensor, "nodes width"]:
        """What the round adds."""
        scale = (topology.degree + 1).rsqrt()
        scaled = scale * x
        update: Tensor = self.linear(scale * (neighbour_sum(scaled, topology) + scaled))
        return update


class GCN(GraphNetwork):
    """Graph convolutional network; it reads no edge features."""

    default_width = 48

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(GCNLayer(options.width), options)
