"""GatedGCN: a graph network whose edges decide how much of each neighbour comes through.

Source: Bresson & Laurent 2017 (arXiv:1711.07553), in the form of Dwivedi et al. 2020 (arXiv:2003.00982).
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from medray.models.segments import mean_and_max, segment_sum

EPSILON = 1e-6


class GatedLayer(nn.Module):
    """One round of gated message passing, with batch norm and residual on nodes and edges.

    For an edge j -> i: e' = e + ReLU(BN(C e + D h_i + E h_j)), gate = sigmoid of the sum inside, and
    h_i' = h_i + ReLU(BN(A h_i + (sum of gate * B h_j) / (sum of gates))). Linear maps come before the gather: they
    run on nodes, of which there are about five times fewer than edges.

    Args:
        width: node and edge features, in and out.
        updates_edges: whether later layers need the new edge features; a last layer has no weights for them.
    """

    def __init__(self, width: int, *, updates_edges: bool = True) -> None:
        super().__init__()
        self.node_maps = nn.Linear(width, 4 * width)
        self.edge_map = nn.Linear(width, width)
        self.node_norm = nn.BatchNorm1d(width)
        self.edge_norm = nn.BatchNorm1d(width) if updates_edges else None

    def forward(
        self,
        x: Float[Tensor, "nodes width"],
        edge_attr: Float[Tensor, "edges width"],
        edge_index: Int64[Tensor, "2 edges"],
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "edges width"]]:
        """New node and edge features."""
        source, target = edge_index[0], edge_index[1]
        own, message, at_target, at_source = self.node_maps(x).chunk(4, dim=1)
        mixed = self.edge_map(edge_attr) + at_target.index_select(0, target) + at_source.index_select(0, source)
        gate = torch.sigmoid(mixed)
        passed = segment_sum(gate * message.index_select(0, source), target, x.shape[0])
        gates = segment_sum(gate, target, x.shape[0])
        x = x + functional.relu(self.node_norm(own + passed / (gates + EPSILON)))
        if self.edge_norm is not None:
            edge_attr = edge_attr + functional.relu(self.edge_norm(mixed))
        return x, edge_attr


class GatedGCN(nn.Module):
    """Gated layers between a linear embedding and a mean and maximum readout.

    Batch norm at the input brings features of any unit to one scale, with statistics of the training set.
    """

    def __init__(
        self,
        node_features: int,
        edge_features: int,
        num_classes: int,
        *,
        width: int = 24,
        layers: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.node_input = nn.Sequential(nn.BatchNorm1d(node_features), nn.Linear(node_features, width))
        self.edge_input = nn.Sequential(nn.BatchNorm1d(edge_features), nn.Linear(edge_features, width))
        self.layers = nn.ModuleList(GatedLayer(width, updates_edges=k < layers - 1) for k in range(layers))
        self.head = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def embed(
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
    ) -> Float[Tensor, "nodes width"]:
        """Node embeddings after the last layer."""
        hidden: Tensor = self.node_input(x)
        edges = self.edge_input(edge_attr)
        for layer in self.layers:
            hidden, edges = layer(hidden, edges, edge_index)
        return hidden

    def read_out(
        self, embedding: Float[Tensor, "nodes width"], batch: Int64[Tensor, " nodes"], num_graphs: int
    ) -> Float[Tensor, "graphs classes"]:
        """Logits of each graph from the embeddings of its nodes."""
        logits: Tensor = self.head(mean_and_max(embedding, batch, num_graphs))
        return logits

    def forward(
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        batch: Int64[Tensor, " nodes"],
        num_graphs: int,
    ) -> Float[Tensor, "graphs classes"]:
        """Logits. `edge_index` holds both directions of each edge; `batch` is the graph of each node."""
        return self.read_out(self.embed(x, edge_index, edge_attr), batch, num_graphs)
