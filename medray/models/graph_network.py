"""What all graph networks share: input norm and embedding, rounds of a layer, readout. A family is its layer."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from medray.errors import SettingsError
from medray.models.random_walk import random_walk_encodings
from medray.models.readout import READOUTS
from medray.models.segments import segments_of, spread
from medray.models.topology import Topology, topology_of

Answers = Literal["graph", "node"]
"""What a network's logits are about."""


@dataclass(frozen=True)
class GraphOptions:
    """Sizes and parts of a graph network; `settings.NetworkSettings` says what each is."""

    width: int
    layers: int = 4
    dropout: float = 0.0
    feed_forward: bool = False
    readout: str = "mean_max"
    encoding_steps: int = 0
    heads: int = 4

    def __post_init__(self) -> None:
        """Refuse what makes no network.

        Raises:
            SettingsError: a number out of its range, or a readout that there is not.
        """
        rules = {
            "width": (self.width >= 1, "1 or more"),
            "layers": (self.layers >= 1, "1 or more"),
            "dropout": (0 <= self.dropout < 1, "0 or more and below 1"),
            "readout": (self.readout in READOUTS, " or ".join(READOUTS)),
            "encoding_steps": (self.encoding_steps >= 0, "0 or more"),
            "heads": (self.heads >= 1, "1 or more"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise SettingsError(f"--network.{name} is {getattr(self, name)}, and must be {rule}.")

    def channels_of_a_head(self) -> int:
        """Width of one head.

        Raises:
            SettingsError: the heads do not share the width evenly.
        """
        if self.width % self.heads:
            what = f"--network.width is {self.width}, and must be a multiple of the {self.heads} heads."
            raise SettingsError(what, "Change it, or --network.heads.")
        return self.width // self.heads


class FeedForward(nn.Module):
    """BN(x + W2 ReLU(W1 x)) with twice the width inside, each node by itself (Luo et al. 2025, arXiv:2502.09263)."""

    def __init__(self, options: GraphOptions) -> None:
        super().__init__()
        width = options.width
        self.inside = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(options.dropout),
        )
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Float[Tensor, "nodes width"]) -> Float[Tensor, "nodes width"]:
        """New node features."""
        new: Tensor = self.norm(x + self.inside(x))
        return new


class Round(nn.Module):
    """A layer and what stands around it: x + dropout(ReLU(BN(layer(x)))), and the feed-forward part where asked for."""

    def __init__(self, layer: nn.Module, options: GraphOptions) -> None:
        super().__init__()
        self.layer = layer
        self.norm = nn.BatchNorm1d(options.width)
        self.dropout = nn.Dropout(options.dropout)
        self.feed_forward = FeedForward(options) if options.feed_forward else nn.Identity()

    def updated(self, x: Float[Tensor, "nodes width"], update: Float[Tensor, "nodes width"]) -> Tensor:
        """New node features from the old ones and what the layer says."""
        new: Tensor = self.feed_forward(x + self.dropout(functional.relu(self.norm(update))))
        return new

    def forward(
        self, x: Float[Tensor, "nodes width"], edge_attr: Float[Tensor, "edges edge_width"], topology: Topology
    ) -> tuple[Float[Tensor, "nodes width"], Float[Tensor, "edges edge_width"]]:
        """New node features, and edge features as they were."""
        return self.updated(x, self.layer(x, edge_attr, topology)), edge_attr


class GraphNetwork(nn.Module):
    """Rounds of a family's layer between a linear embedding and a readout.

    Batch norm at the input brings features of any unit to one scale, with statistics of the training set. Where each
    node is to be answered for, its embedding stands beside that of its graph, so that a node knows its image.

    Args:
        node_features: columns of `x`.
        edge_features: columns of `edge_attr`.
        num_classes: logits it answers.
        answers: logits of each graph, or of each node.
        options: fields of `GraphOptions`.

    Attributes:
        default_width: about 15,000 parameters in four rounds.
        edges: what the layers see of `edge_attr`: nothing (`unread`), the columns after batch norm (`features`), or
            an embedding as wide as that of the nodes, which they may change (`state`).
    """

    default_width: ClassVar[int]
    edges: ClassVar[Literal["unread", "features", "state"]] = "unread"

    def __init__(
        self, node_features: int, edge_features: int, num_classes: int, *, answers: Answers = "graph", **options: Any
    ) -> None:
        super().__init__()
        chosen = GraphOptions(**{"width": self.default_width, **options})
        width, columns = chosen.width, node_features + chosen.encoding_steps
        self.encoding_steps = chosen.encoding_steps
        self.node_input = nn.Sequential(nn.BatchNorm1d(columns), nn.Linear(columns, width))
        self.edge_input = self._edge_input(edge_features, width)
        numbers = range(chosen.layers)
        self.rounds = nn.ModuleList(self.make_round(chosen, edge_features, last=k == numbers[-1]) for k in numbers)
        self.pool = READOUTS[chosen.readout](width)
        self.answers = answers
        read = self.pool.columns + (width if answers == "node" else 0)
        self.head = nn.Sequential(
            nn.Linear(read, width), nn.ReLU(), nn.Dropout(chosen.dropout), nn.Linear(width, num_classes)
        )

    def _edge_input(self, edge_features: int, width: int) -> nn.Module:
        if self.edges == "unread":
            return nn.Identity()
        norm = nn.BatchNorm1d(edge_features)
        return norm if self.edges == "features" else nn.Sequential(norm, nn.Linear(edge_features, width))

    def make_round(self, options: GraphOptions, edge_features: int, *, last: bool) -> nn.Module:
        """One round of the family. `last`: no round reads the edges after it."""
        raise NotImplementedError

    def embed(
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        batch: Int64[Tensor, " nodes"] | None = None,
        *,
        num_graphs: int = 1,
    ) -> Float[Tensor, "nodes width"]:
        """Node embeddings after the last round; without `batch` all nodes are of one graph."""
        if batch is None:
            batch = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        topology = topology_of(edge_index, batch, num_graphs)
        if self.encoding_steps:
            x = torch.cat([x, random_walk_encodings(topology, self.encoding_steps)], dim=1)
        hidden: Tensor = self.node_input(x)
        edges: Tensor = self.edge_input(edge_attr)
        for layer in self.rounds:
            hidden, edges = layer(hidden, edges, topology)
        return hidden

    def read_out(
        self, embedding: Float[Tensor, "nodes width"], batch: Int64[Tensor, " nodes"], num_graphs: int
    ) -> Float[Tensor, "answers classes"]:
        """Logits of each graph from the embeddings of its nodes, or of each node from its own and its graph's."""
        nodes = segments_of(batch, num_graphs)
        pooled = self.pool(embedding, nodes)
        read = torch.cat([embedding, spread(pooled, nodes)], dim=1) if self.answers == "node" else pooled
        logits: Tensor = self.head(read)
        return logits

    def forward(
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        batch: Int64[Tensor, " nodes"],
        num_graphs: int,
    ) -> Float[Tensor, "answers classes"]:
        """Logits. `edge_index` holds both directions of each edge, by target; `batch` is the graph of each node.

        That both ascend is taken for granted and not checked: another order gives wrong sums.
        """
        return self.read_out(self.embed(x, edge_index, edge_attr, batch, num_graphs=num_graphs), batch, num_graphs)
