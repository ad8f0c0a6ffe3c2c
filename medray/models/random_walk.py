"""Positions of nodes as their graph alone tells them: how often a random walk is back after k steps."""

import torch
from jaxtyping import Float
from torch import Tensor

from medray.models.segments import Segments
from medray.models.topology import Topology, neighbour_sum, place_in_graph

COLUMNS = 128
"""Starts of walks that are followed at a time: it bounds memory to nodes x COLUMNS numbers."""


def random_walk_encodings(topology: Topology, steps: int) -> Float[Tensor, "nodes steps"]:
    """The probability that a walk from each node is back after 1 … `steps` steps: exact, and the same each time.

    Source: Dwivedi et al. 2022, arXiv:2110.07875, eq. 7. With degrees D and edges A, the powers of D^-1 A and of the
    symmetric S = D^-1/2 A D^-1/2 have the same diagonal, and that of S^(a + b) is the row sum of S^a * S^b, element by
    element: half the steps are enough. Each graph's n-th node starts its walks in column n.
    """
    walks = _operator if torch.compiler.is_compiling() else _walks
    encodings: Tensor = walks(topology.source, *topology.edges, *topology.nodes, steps)
    return encodings


def _walks(source: Tensor, target: Tensor, starts: Tensor, batch: Tensor, first_nodes: Tensor, steps: int) -> Tensor:
    topology = Topology(source, Segments(target, starts), Segments(batch, first_nodes))
    place, longest = place_in_graph(topology.nodes)
    scale = topology.degree.clamp(min=1).rsqrt()
    encodings = torch.zeros(topology.num_nodes, steps, device=place.device)
    for first in range(0, longest, COLUMNS):
        columns = torch.arange(first, first + COLUMNS, device=place.device)
        before = (place[:, None] == columns).float()
        for step in range(0, steps, 2):
            after = scale * neighbour_sum(scale * before, topology)
            encodings[:, step] += (before * after).sum(1)
            if step + 1 < steps:
                encodings[:, step + 1] += after.square().sum(1)
            before = after
    return encodings


# one operation to torch.compile: the number of columns is in the data, and would end the compiled graph
_operator = torch.library.custom_op(
    "medray::random_walk_encodings",
    _walks,
    mutates_args=(),
    schema="(Tensor source, Tensor target, Tensor starts, Tensor batch, Tensor first_nodes, int steps) -> Tensor",
)


@_operator.register_fake
def _shape(source: Tensor, target: Tensor, starts: Tensor, batch: Tensor, first_nodes: Tensor, steps: int) -> Tensor:
    return torch.empty(batch.shape[0], steps, device=batch.device)
