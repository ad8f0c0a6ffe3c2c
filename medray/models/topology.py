"""Who is beside whom in a batch of region graphs, and what goes along the edges."""

from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medray.models.segments import Segments, bag_sum, segment_sum, segments_of, spread


@dataclass
class Topology:
    """Edges and graphs of a batch, in the order of `samples.collate`. Every edge stands there in both directions.

    Attributes:
        source: (edges,) the node where each edge starts.
        edges: edges by the node where they end.
        nodes: nodes by graph.
    """

    source: Tensor
    edges: Segments
    nodes: Segments
    _reverse: Tensor | None = field(default=None, init=False, repr=False)

    @property
    def reverse(self) -> Int64[Tensor, " edges"]:
        """Edges by the node where they start: sorted when first asked for, as a plain sum over neighbours never does.

        A node starts as many edges as end there, so that `edges.starts` holds for this order too.
        """
        if self._reverse is None:
            self._reverse = torch.argsort(self.source, stable=True)
        return self._reverse

    @property
    def num_nodes(self) -> int:
        """Nodes of the batch."""
        return self.edges.number

    @property
    def degree(self) -> Float[Tensor, "nodes 1"]:
        """Neighbours of each node."""
        return self.edges.sizes[:, None].float()


def topology_of(edge_index: Int64[Tensor, "2 edges"], batch: Int64[Tensor, " nodes"], num_graphs: int) -> Topology:
    """The topology of a collated batch."""
    return Topology(edge_index[0], segments_of(edge_index[1], batch.shape[0]), segments_of(batch, num_graphs))


class _AtSource(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, source: Tensor, reverse: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(reverse, starts)
        return x.index_select(0, source)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return bag_sum(gradients[0], *ctx.saved_tensors), None, None, None


def at_source(x: Float[Tensor, "nodes width"], topology: Topology) -> Float[Tensor, "edges width"]:
    """What stands at the node where each edge starts."""
    rows: Tensor = _AtSource.apply(x, topology.source, topology.reverse, topology.edges.starts)
    return rows


def at_target(x: Float[Tensor, "nodes width"], topology: Topology) -> Float[Tensor, "edges width"]:
    """What stands at the node where each edge ends."""
    return spread(x, topology.edges)


def plus_edges(
    rows: Float[Tensor, "edges width"], edge_map: nn.Linear, edge_attr: Float[Tensor, "edges edge_width"]
) -> Float[Tensor, "edges width"]:
    """`rows` (written over) plus a linear map of the edge features, without its bias: that costs less on nodes.

    The weights are laid out anew because of their gradient: of a transposed matrix torch computes it as
    (width x edges) @ (edges x few), which takes six times as long as (few x edges) @ (edges x width).
    """
    # autocast takes no part in what is written in place
    return rows.addmm_(edge_attr.to(rows.dtype), edge_map.weight.T.contiguous().to(rows.dtype))


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


class _WeighedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, *topology: Tensor) -> Tensor:
        ctx.save_for_backward(x, weights, *topology)
        source, _reverse, _target, starts = topology
        return _bag_by_head(x, source, starts, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, source, reverse, target, starts = ctx.saved_tensors
        to_x = _bag_by_head(gradients[0], target.index_select(0, reverse), starts, weights.index_select(0, reverse))
        along = x.index_select(0, source).mul_(gradients[0].index_select(0, target))
        return (
            to_x,
            along.view(len(along), weights.shape[1], x.shape[1] // weights.shape[1]).sum(2),
            None,
            None,
            None,
            None,
        )


def _bag_by_head(x: Tensor, source: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    parts = zip(x.chunk(weights.shape[1], dim=1), weights.T, strict=True)
    return torch.cat([bag_sum(part.contiguous(), source, starts, weight) for part, weight in parts], dim=1)


def weighed_sum(
    x: Float[Tensor, "nodes width"], weights: Float[Tensor, "edges heads"], topology: Topology
) -> Float[Tensor, "nodes width"]:
    """Sum over the neighbours of each node, each times its edge's weight; each head weighs its part of the width."""
    edges = topology.edges
    total: Tensor = _WeighedSum.apply(x, weights, topology.source, topology.reverse, edges.ids, edges.starts)
    return total


def place_in_graph(nodes: Segments) -> tuple[Int64[Tensor, " nodes"], int]:
    """The number of each node in its graph, and the nodes of the largest graph."""
    first = nodes.starts.index_select(0, nodes.ids)
    return torch.arange(first.shape[0], device=first.device) - first, int(nodes.sizes.max())
