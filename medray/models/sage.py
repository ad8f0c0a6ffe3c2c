"""GraphSAGE: oneself and the mean of the neighbours, each with weights of its own.

Source: Hamilton et al. 2017, arXiv:1706.02216, algorithm 1 with the mean aggregator.
"""

from jaxtyping import Float
from torch import Tensor, nn

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.topology import Topology, neighbour_sum


class SAGELayer(nn.Module):
    """W1 h_i + b + W2 (mean of the neighbours' h_j)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own_map = nn.Linear(width, width)
        self.neighbour_map = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> Float[Tensor, "nodes width"]:
        """What the round adds."""
        mean = neighbour_sum(x, topology) / topology.degree.clamp(min=1)
        update: Tensor = self.own_map(x) + self.neighbour_map(mean)
        return update


class SAGE(GraphNetwork):
    """GraphSAGE with the mean aggregator; it reads no edge features."""

    default_width = 36

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(SAGELayer(options.width), options)
