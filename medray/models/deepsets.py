"""Deep sets: no edges at all. What a graph network knows beyond it comes from neighbours.

Source: Zaheer et al. 2017, arXiv:1703.06114, theorem 2.
"""

from jaxtyping import Float
from torch import Tensor, nn

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.topology import Topology


class NodeLayer(nn.Module):
    """W h + b, each node by itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> Float[Tensor, "nodes width"]:
        """What the round adds."""
        update: Tensor = self.linear(x)
        return update


class DeepSets(GraphNetwork):
    """A perceptron on each node, then the readout: the baseline that says what edges are worth."""

    default_width = 48

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return Round(NodeLayer(options.width), options)
