"""Region graphs for torch_geometric, for users who bring models of their own: `pip install medray[pyg]`."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from medray.graphs.region_graph import RegionGraph

if TYPE_CHECKING:
    from torch_geometric.data import Data


def to_pyg(graph: RegionGraph) -> "Data":
    """The graph as torch_geometric's `Data`, on tensors of its own.

    Returns:
        `x`, `pos`, `level`, and both directions of each edge, as torch_geometric wants undirected graphs: `edge_index`
        (int64), sorted by source, then target, and `edge_attr`, the two stored features.
    """
    from torch_geometric.data import Data

    both = np.concatenate([graph.edge_index, graph.edge_index[::-1]], axis=1).astype(np.int64)
    order = np.lexsort(both[::-1])
    return Data(
        x=torch.tensor(graph.x),
        edge_index=torch.tensor(both[:, order]),
        edge_attr=torch.tensor(np.concatenate([graph.edge_attr, graph.edge_attr])[order]),
        pos=torch.tensor(graph.pos),
        level=torch.tensor(graph.level),
    )
