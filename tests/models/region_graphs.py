"""Random graphs in the form that collate gives them."""

import torch
from torch import Tensor

Inputs = dict[str, Tensor | int]


def random_graph(nodes: int, seed: int, node_features: int = 5, edge_features: int = 3) -> Inputs:
    """One connected graph, both directions of each edge, sorted by destination."""
    drawn = torch.Generator().manual_seed(seed)
    pairs = {(k, k + 1) for k in range(nodes - 1)}
    pairs |= {(int(a), int(b)) for a, b in torch.randint(nodes, (nodes, 2), generator=drawn).sort(1)[0] if a < b}
    both = sorted((target, source) for a, b in pairs for target, source in ((a, b), (b, a)))
    return {
        "x": torch.randn(nodes, node_features, generator=drawn),
        "edge_index": torch.tensor([[source for _, source in both], [target for target, _ in both]], dtype=torch.int64),
        "edge_attr": torch.randn(len(both), edge_features, generator=drawn),
        "batch": torch.zeros(nodes, dtype=torch.int64),
        "num_graphs": 1,
    }


def tensor(inputs: Inputs, name: str) -> Tensor:
    """One tensor of a graph."""
    value = inputs[name]
    assert isinstance(value, Tensor)
    return value


def join(graphs: list[Inputs]) -> Inputs:
    """Several graphs as one batch."""
    sizes = [tensor(graph, "x").shape[0] for graph in graphs]
    starts = [sum(sizes[:k]) for k in range(len(sizes))]
    return {
        "x": torch.cat([tensor(graph, "x") for graph in graphs]),
        "edge_index": torch.cat([tensor(g, "edge_index") + s for g, s in zip(graphs, starts, strict=True)], dim=1),
        "edge_attr": torch.cat([tensor(graph, "edge_attr") for graph in graphs]),
        "batch": torch.arange(len(graphs)).repeat_interleave(torch.tensor(sizes)),
        "num_graphs": len(graphs),
    }
