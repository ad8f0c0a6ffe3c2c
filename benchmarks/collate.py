"""Collate of region graphs against torch_geometric's, on the same graphs, to the same tensors.

    python benchmarks/collate.py

Both sides make one batch of 256 graphs: `x`, `edge_index` (int64, both directions of each edge), `edge_attr` (the same
columns) and `batch`, equal value by value but for the order of the edges; that is asserted before the clock starts.

- medray: `collate_arrow` of an Arrow table as `graphs_to_arrow` makes it: each edge stored once, 16-bit node numbers,
  two edge features. Both directions, their order by target and the other edge features are made in the call.
- torch_geometric: `Batch.from_data_list` of a list of `Data` that lies finished in memory: both directions, int64, all
  edge features. Nothing is computed but the concatenation and the shift of the node numbers.

Times are CPU times of one call, all threads together, least and median of many calls; the two take turns.
`speedup_over_pyg` is the ratio of the medians at 224 x 224 pixels and 196 regions with the default recipe.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.results_writer import write_result
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.graphs.features import edge_feature_names
from medray.graphs.region_graph import RegionGraph
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

GRAPHS, DRAWN, ROUNDS = 256, 32, 40
CASES = {
    "224/196": (224, GraphRecipe(regions=196)),
    "224/196 with directions": (224, GraphRecipe(regions=196, position=True)),
    "224/196 multiscale": (224, GraphRecipe(regions=196, builder="multiscale")),
    "28/81": (28, GraphRecipe(regions=81)),
}


def peer_items(graphs: list[RegionGraph], names: tuple[str, ...]) -> list[Any]:
    """The graphs as finished `Data`, each on tensors of its own."""
    import torch
    from torch_geometric.data import Data

    items = []
    for graph in graphs:
        arrays = collate_arrow(graphs_to_arrow([graph]), names)
        items.append(Data(**{name: torch.tensor(arrays[name]) for name in ("x", "edge_index", "edge_attr")}))
    return items


def check_equal(ours: dict[str, np.ndarray], theirs: Any) -> None:
    """Assert that both batches hold the same numbers."""
    for name in ("x", "edge_index", "edge_attr", "batch"):
        assert np.array_equal(ours[name], getattr(theirs, name).numpy()), name


def cpu_ms(calls: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, tuple[float, float]]:
    """Least and median CPU time of each call in milliseconds; the calls take turns."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 2):
        for name, call in calls.items():
            start = time.process_time()
            kept = call()
            spent = time.process_time() - start
            del kept
            if turn >= 2:
                times[name].append(1000 * spent)
    return {name: (min(found), float(np.median(found))) for name, found in times.items()}


def figures(size: int, recipe: GraphRecipe) -> dict[str, float]:
    """Both sides on one kind of graph."""
    from torch_geometric.data import Batch

    drawn = [build_region_graph(ellipses(size, seed)[0][None], recipe) for seed in range(DRAWN)]
    graphs, names = drawn * (GRAPHS // DRAWN), edge_feature_names(recipe)
    table, items = graphs_to_arrow(graphs), peer_items(graphs, names)
    check_equal(collate_arrow(table, names), Batch.from_data_list(items))
    calls = {"ours": lambda: collate_arrow(table, names), "peer": lambda: Batch.from_data_list(items)}
    found = cpu_ms(calls)
    return {
        "graphs": len(graphs),
        "nodes": sum(graph.num_nodes for graph in graphs),
        "directed_edges": 2 * sum(graph.num_edges for graph in graphs),
        "edge_features": len(names),
        "arrow_bytes": table.nbytes,
        "ours_least_ms": found["ours"][0],
        "ours_median_ms": found["ours"][1],
        "pyg_least_ms": found["peer"][0],
        "pyg_median_ms": found["peer"][1],
        "ratio_of_least": found["peer"][0] / found["ours"][0],
        "ratio": found["peer"][1] / found["ours"][1],
    }


def storage_figures() -> dict[str, float]:
    """What laying out graphs as Arrow adds to building them: 256 images of 28 x 28 pixels, one after the other."""
    recipe = GraphRecipe(regions=81)
    images = [ellipses(28, seed)[0][None] for seed in range(GRAPHS)]
    graphs = [build_region_graph(image, recipe) for image in images]
    calls: dict[str, Callable[[], pa.Table]] = {
        "build": lambda: [build_region_graph(image, recipe) for image in images],
        "layout": lambda: graphs_to_arrow(graphs),
    }
    found = cpu_ms(calls, 12)
    return {"build_ms": found["build"][1], "layout_ms": found["layout"][1]}


def main() -> None:
    """Measure, say and keep."""
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {name: figures(*case) for name, case in CASES.items()}
    for name, one in found.items():
        print(
            f"{name}: {one['ours_median_ms']:.2f} ms, torch_geometric {one['pyg_median_ms']:.2f}: {one['ratio']:.1f} x"
        )
    found["arrow_layout_of_256"] = storage_figures()
    write_result("collate", {"speedup_over_pyg": found["224/196"]["ratio"], **found})


if __name__ == "__main__":
    main()
