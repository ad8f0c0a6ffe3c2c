"""Who is beside whom in a batch of region graphs, and what goes along the edges."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from medray.models.segments import Segments, bag_sum, segment_sum, segments_of, spread


class Topology(NamedTuple):
    """Edges and graphs of a batch, in the order of `samples.collate`.

    Attributes:
        source: (edges,) the node where each edge starts. Every edge stands there in both directions, so that the sum
            over neighbours is its own transpose.
        edges: edges by the node where they end.
        nodes: nodes by graph.
    """

    source: Tensor
    edges: Segments
    nodes: Segments

    @property
    def num_nodes(self) -> int:
        """Nodes of the batch."""
        return self.edges.count

    @property
    def degree(self) -> Float[Tensor, "nodes 1"]:
        """Neighbours of each node."""
        return self.edges.sizes[:, None].float()


def topology_of(edge_index: Int64[Tensor, "2 edges"], batch: Int64[Tensor, " nodes"], num_graphs: int) -> Topology:
    """The topology of a collated batch."""
    return Topology(edge_index[0], segments_of(edge_index[1], batch.shape[0]), segments_of(batch, num_graphs))


def at_source(x: Float[Tensor, "nodes width"], topology: Topology) -> Float[Tensor, "edges width"]:
    """What stands at the node where each edge starts."""
    return x.index_select(0, topology.source)


def at_target(x: Float[Tensor, "nodes width"], topology: Topology) -> Float[Tensor, "edges width"]:
    """What stands at the node where each edge ends."""
    return spread(x, topology.edges)


def edge_sum(messages: Float[Tensor, "edges width"], topology: Topology) -> Float[Tensor, "nodes width"]:
    """Sum of what the edges bring to each node."""
    return segment_sum(messages, topology.edges)


class _NeighbourSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(source, starts)
        return bag_sum(x, source, starts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return bag_sum(gradients[0], *ctx.saved_tensors), None, None


def neighbour_sum(x: Float[Tensor, "nodes width"], topology: Topology) -> Float[Tensor, "nodes width"]:
    """Sum over the neighbours of each node, without a row for each edge in between."""
    total: Tensor = _NeighbourSum.apply(x, topology.source, topology.edges.starts)
    return total


def place_in_graph(nodes: Segments) -> tuple[Int64[Tensor, " nodes"], int]:
    """The number of each node in its graph, and the nodes of the largest graph."""
    first = nodes.starts.index_select(0, nodes.index)
    return torch.arange(first.shape[0], device=first.device) - first, int(nodes.sizes.max())
