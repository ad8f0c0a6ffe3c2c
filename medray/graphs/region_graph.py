"""An image as regions and the pairs of them that touch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int32, UInt8, UInt16

if TYPE_CHECKING:
    import networkx

LARGEST_SHORT_GRAPH = 65_535
"""Nodes up to which node numbers are stored in 16 bits."""

EdgeIndex = UInt16[np.ndarray, "2 edges"] | Int32[np.ndarray, "2 edges"]


def index_type(nodes: int) -> type[np.uint16 | np.int32]:
    """The type of node numbers in a graph of that many nodes."""
    return np.uint16 if nodes <= LARGEST_SHORT_GRAPH else np.int32


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Regions of an image (or volume), and which of them belong together.

    Attributes:
        x: features of each node, as `node_feature_names` says.
        pos: (row, column) of each centroid from the image's centre, over the longer side: -0.5 … 0.5; of volumes
            (slice, row, column).
        edge_index: each undirected edge once, lower node first, in lexicographic order.
        edge_attr: boundary length / sqrt(mean area of the regions), mean |difference| across the boundary; both are 0
            for regions that do not touch.
        level: 0 for the regions of the label map, which come first and in its order; 1, 2 … for regions that they
            merge into. An edge within a level joins neighbours, one between levels joins a part with its whole.
    """

    x: Float32[np.ndarray, "nodes features"]
    pos: Float32[np.ndarray, "nodes dims"]
    edge_index: EdgeIndex
    edge_attr: Float32[np.ndarray, "edges 2"]
    level: UInt8[np.ndarray, " nodes"]

    @property
    def num_nodes(self) -> int:
        """Regions."""
        return len(self.x)

    @property
    def num_edges(self) -> int:
        """Undirected edges."""
        return int(self.edge_index.shape[1])

    def check(self) -> None:
        """Raise ValueError, which names the rule, where this is no region graph."""
        source, target = self.edge_index.astype(np.int64)
        inside = bool(((source >= 0) & (target >= 0) & (source < self.num_nodes) & (target < self.num_nodes)).all())
        rules = {
            "there is no node": self.num_nodes > 0,
            "pos needs two or three columns and one row for each node": self.pos.shape[0] == self.num_nodes
            and self.pos.shape[1] in (2, 3),
            "edge_attr needs one row for each edge": self.edge_attr.shape == (self.num_edges, 2),
            "edge_index has the wrong type for so many nodes": self.edge_index.dtype == index_type(self.num_nodes),
            "an edge names a node that does not exist": inside,
            "an edge must have its lower node first": bool((source < target).all()),
            "edges must be in lexicographic order, each once": bool(
                (np.diff(source * self.num_nodes + target) > 0).all()
            ),
            "levels must start at 0 and never fall, one for each node": self._levels_are_sound(),
            "a value is not finite": all(np.isfinite(part).all() for part in (self.x, self.pos, self.edge_attr)),
        }
        for rule, kept in rules.items():
            if not kept:
                raise ValueError(rule)
        if (np.diff(self.level[self.edge_index].astype(int), axis=0) > 1).any():
            raise ValueError("an edge reaches over a level")

    def _levels_are_sound(self) -> bool:
        steps = np.diff(self.level.astype(int), prepend=0)
        return len(steps) == self.num_nodes and bool(((steps >= 0) & (steps <= 1)).all() and not steps[:1].any())

    def to_networkx(self) -> "networkx.Graph":
        """The graph for networkx: nodes carry `x`, `pos` and `level`, edges `edge_attr`."""
        import networkx

        graph = networkx.Graph()
        parts = zip(self.x, self.pos, self.level.tolist(), strict=True)
        graph.add_nodes_from((k, {"x": x, "pos": pos, "level": level}) for k, (x, pos, level) in enumerate(parts))
        pairs = zip(self.edge_index.T.tolist(), self.edge_attr, strict=True)
        graph.add_edges_from((source, target, {"edge_attr": values}) for (source, target), values in pairs)
        return graph
