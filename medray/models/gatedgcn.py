"""GatedGCN: a graph network whose edges decide how much of each neighbour comes through.

Source: Bresson & Laurent 2017 (arXiv:1711.07553), in the form of Dwivedi et al. 2020 (arXiv:2003.00982).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from medray.models.graph_network import GraphNetwork, GraphOptions, Round
from medray.models.topology import Topology, at_source, at_target, edge_sum

EPSILON = 1e-6


class GatedLayer(nn.Module):
    """A h_i + (sum of gate * B h_j) / (sum of gates), where an edge j -> i has gate = sigmoid(C e + D h_i + E h_j).

    Linear maps come before the gather: they run on nodes, of which there are about five times fewer than edges.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.node_maps = nn.Linear(width, 4 * width)
        self.edge_map = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges width"], topology: Topology
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "edges width"]]:
        """What the round adds to the nodes, and what stands inside the gates: it is added to the edges."""
        own, message, for_target, for_source = self.node_maps(x).chunk(4, dim=1)
        mixed = at_source(for_source, topology).add_(at_target(for_target, topology)).add_(self.edge_map(edge_attr))
        gate = torch.sigmoid(mixed)
        passed = edge_sum(gate * at_source(message, topology), topology)
        return own + passed / (edge_sum(gate, topology) + EPSILON), mixed


class GatedRound(Round):
    """A round that changes the edges too: e' = e + ReLU(BN(C e + D h_i + E h_j)).

    Args:
        options: of the network.
        last: no round reads the edges after it, so that it has no weights for them.
    """

    def __init__(self, options: GraphOptions, *, last: bool) -> None:
        super().__init__(GatedLayer(options.width), options)
        self.edge_norm = None if last else nn.BatchNorm1d(options.width)

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges width"], topology: Topology
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "edges width"]]:
        """New node and edge features."""
        update, mixed = self.layer(x, edge_attr, topology)
        if self.edge_norm is not None:
            edge_attr = edge_attr + functional.relu(self.edge_norm(mixed))
        return self.updated(x, update), edge_attr


class GatedGCN(GraphNetwork):
    """Gated graph convolutional network: edge features that each round changes."""

    default_width = 24
    edges = "state"

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round."""
        return GatedRound(options, last=last)
