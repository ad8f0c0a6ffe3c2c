"""Collate of region graphs against torch_geometric's: `python benchmarks/graphs.py`.

Every time is the least CPU time of several calls, all threads together; the peer is measured in the same run.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.results_writer import write_result
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.graphs.region_graph import RegionGraph
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

GRAPHS = 256


def least_ms(call: Callable[[], Any], repeats: int) -> float:
    """Least CPU time of one call, in milliseconds, after one call that does not count."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def collate_figures() -> dict[str, float]:
    """Collate of 256 graphs of 224 x 224 images; the peer gives two edge features, and with `derived` all six."""
    warnings.simplefilter("ignore")
    import torch
    from torch_geometric.data import Batch, Data

    torch.set_num_threads(1)
    recipe = GraphRecipe(regions=196)
    graphs = [build_region_graph(ellipses(224, seed)[0][None], recipe) for seed in range(32)] * (GRAPHS // 32)
    table = graphs_to_arrow(graphs)
    items = [Data(**_tensors(graph, torch)) for graph in graphs]

    def derived() -> None:
        batch = Batch.from_data_list(items)
        source, target = batch.edge_index
        apart = batch.pos[source] - batch.pos[target]
        gap = batch.x[source, 1] - batch.x[target, 1]
        torch.cat([batch.edge_attr, apart.norm(dim=1, keepdim=True), apart, gap[:, None]], dim=1)

    ours = least_ms(lambda: collate_arrow(table), 20)
    peer = least_ms(lambda: Batch.from_data_list(items), 20)
    peer_derived = least_ms(derived, 20)
    figures = {
        "graphs": GRAPHS,
        "directed_edges": 2 * sum(graph.num_edges for graph in graphs),
        "collate_ms": ours,
        "peer_ms": peer,
        "peer_derived_ms": peer_derived,
        "ratio": peer / ours,
        "ratio_derived": peer_derived / ours,
    }
    return {name: round(value, 3) for name, value in figures.items()}


def _tensors(graph: RegionGraph, torch: Any) -> dict[str, Any]:
    both = np.concatenate([graph.edge_index, graph.edge_index[::-1]], axis=1).astype(np.int64)
    attributes = np.concatenate([graph.edge_attr, graph.edge_attr])
    arrays = {"x": graph.x, "pos": graph.pos, "edge_index": both, "edge_attr": attributes}
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def main() -> None:
    """Measure, say and keep."""
    found = collate_figures()
    print(f"collate of {GRAPHS}: {found['collate_ms']:.2f} ms, torch_geometric {found['peer_ms']:.2f} ms: "
          f"{found['ratio']:.1f} x; with the same edge features {found['ratio_derived']:.1f} x")  # fmt: skip
    write_result("graphs", {"collate": found})


if __name__ == "__main__":
    main()
