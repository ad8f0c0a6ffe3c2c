"""Each graph layer, forward and backward, against torch_geometric's own with the same weights.

    python benchmarks/layers.py [--device cuda] [--width 64]

Both run by turns on the same batch of 64 region graphs, with one thread (on a GPU: wall time between two
synchronisations). A time is the least of several; `ratio` is torch_geometric's time over ours. Ours is charged with the
batch's topology, which the rounds of a network share. The gated layer's peer does not divide by the sum of the gates,
and is spared that work.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.results_writer import write_result
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.image_settings import GraphRecipe
from medray.models.topology import Topology, topology_of
from tests.graphs.ellipses import ellipses
from tests.models.pyg_peers import EDGE_STATE, PAIRS, Pair

GRAPHS, DISTINCT = 64, 16
REGIONS = (100, 400)


def least_ms(calls: dict[str, Callable[[], None]], repeats: int, device: str) -> dict[str, float]:
    """Least time of each call in milliseconds, all by turns, after two calls that do not count."""
    least = dict.fromkeys(calls, float("inf"))
    for turn in range(-2, repeats):
        for name, call in calls.items():
            taken = _on_gpu(call) if device == "cuda" else _on_cpu(call)
            if turn >= 0:
                least[name] = min(least[name], taken)
    return least


def _on_cpu(call: Callable[[], None]) -> float:
    start = time.process_time()
    call()
    return 1000 * (time.process_time() - start)


def _on_gpu(call: Callable[[], None]) -> float:
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - start)


def batch_of(regions: int, device: str) -> tuple[Tensor, Tensor, Topology]:
    """`edge_index`, `edge_attr` and topology of a batch of 64 graphs of images of 224 x 224 pixels."""
    recipe = GraphRecipe(regions=regions)
    graphs = [build_region_graph(ellipses(224, seed)[0][None], recipe) for seed in range(DISTINCT)]
    arrays = collate_arrow(graphs_to_arrow(graphs * (GRAPHS // DISTINCT)))
    edge_index, edge_attr, batch = (
        torch.from_numpy(arrays[name]).to(device) for name in ("edge_index", "edge_attr", "batch")
    )
    return edge_index, edge_attr, topology_of(edge_index, batch, GRAPHS)


def layer_figures(pair: Pair, batch: tuple[Tensor, Tensor, Topology], width: int, repeats: int) -> dict[str, float]:
    """Times of a pair on a batch, and by how much their outputs differ."""
    edge_index, edge_attr, topology = batch
    device = edge_index.device.type
    x = torch.randn(topology.num_nodes, width, device=device, requires_grad=True)
    upstream = torch.randn(topology.num_nodes, width, device=device)

    def ours() -> None:
        fresh = topology_of(edge_index, topology.nodes.ids, GRAPHS)
        torch.autograd.backward(pair.answer(x, edge_attr, fresh), upstream)

    def theirs() -> None:
        torch.autograd.backward(pair.call(x, edge_index, edge_attr, topology.nodes.ids), upstream)

    least = least_ms({"ms": ours, "peer_ms": theirs}, repeats, device)
    return {**least, "ratio": least["peer_ms"] / least["ms"]}


def figures(width: int, device: str) -> dict[str, Any]:
    """Of every layer and both batches."""
    found: dict[str, Any] = {}
    for regions in REGIONS:
        edge_index, edge_attr, topology = batch_of(regions, device)
        shape: dict[str, Any] = {"nodes": topology.num_nodes, "edges": edge_index.shape[1]}
        found[f"{GRAPHS}x{regions}"] = shape
        for name, make in PAIRS.items():
            torch.manual_seed(0)
            own_edges = torch.randn(edge_index.shape[1], width, device=device) if name in EDGE_STATE else edge_attr
            pair = make(width, own_edges.shape[1])
            pair.own.to(device), pair.peer.to(device)
            given = (edge_index, own_edges.requires_grad_(name in EDGE_STATE), topology)
            times = layer_figures(pair, given, width, 5 if name == "pna" else 15)
            shape[name] = {key: round(value, 3) for key, value in times.items()}
            print(f"{GRAPHS} x {regions} {name}: {times['ms']:.2f} ms, torch_geometric {times['peer_ms']:.2f} ms: "
                  f"{times['ratio']:.2f} x", flush=True)  # fmt: skip
    return found


def main() -> None:
    """Measure, say and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=int, default=64)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    name = "layers" if given.device == "cpu" else "layers_gpu"
    write_result(name, {"width": given.width, **figures(given.width, given.device)})


if __name__ == "__main__":
    main()
