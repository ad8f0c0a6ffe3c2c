"""Superpixel graphs against scikit-image's road to the same thing, and collate against torch_geometric's.

    python benchmarks/graphs.py

Every time is the least CPU time of several calls, all threads together; each peer is measured in the same run.
The peer of a build is slic(sigma=1), rag_mean_color and regionprops_table with the properties that our features need.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.results_writer import write_result
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.region_graph import RegionGraph
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import achievable_accuracy, ellipses, undersegmentation_error

SIZES = ((512, 400), (224, 196), (28, 81))
PROPERTIES = (
    "area", "centroid", "intensity_mean", "intensity_std", "intensity_min", "intensity_max", "perimeter",
    "axis_major_length", "axis_minor_length",
)  # fmt: skip
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


def peer_labels(image: np.ndarray, regions: int) -> np.ndarray:
    """scikit-image's superpixels."""
    from skimage.segmentation import slic

    labels: np.ndarray = slic(image, regions, compactness=0.1, sigma=1, channel_axis=None, start_label=0)
    return labels


def peer_graph(image: np.ndarray, regions: int) -> None:
    """Superpixels, adjacency and statistics by scikit-image."""
    import skimage.graph
    import skimage.measure

    labels = peer_labels(image, regions)
    skimage.graph.rag_mean_color(np.repeat(image[:, :, None], 3, axis=2), labels)
    skimage.measure.regionprops_table(labels + 1, image, properties=PROPERTIES)


def build_figures(size: int, regions: int) -> dict[str, float]:
    """Times of one image size, and how well both keep to true borders (means of four images)."""
    recipe, texture = GraphRecipe(regions=regions), GraphRecipe(regions=regions, texture=True)
    image = ellipses(size, 0)[0]
    ours = least_ms(lambda: build_region_graph(image[None], recipe), 30)
    peer = least_ms(lambda: peer_graph(image, regions), 3)
    images = [ellipses(size, seed) for seed in range(4)]
    labels = [superpixel_labels(image[None], recipe) for image, _ in images]
    peers = [peer_labels(image, int(label.max()) + 1) for (image, _), label in zip(images, labels, strict=True)]
    figures = {
        "build_ms": ours,
        "build_texture_ms": least_ms(lambda: build_region_graph(image[None], texture), 15),
        "labels_ms": least_ms(lambda: superpixel_labels(image[None], recipe), 30),
        "peer_ms": peer,
        "peer_labels_ms": least_ms(lambda: peer_labels(image, regions), 5),
        "ratio": peer / ours,
    }
    for name, found in (("", labels), ("peer_", peers)):
        pairs = [(label, truth) for label, (_, truth) in zip(found, images, strict=True)]
        figures[f"{name}regions"] = float(np.mean([label.max() + 1 for label in found]))
        figures[f"{name}achievable_accuracy"] = float(np.mean([achievable_accuracy(*pair) for pair in pairs]))
        figures[f"{name}undersegmentation_error"] = float(np.mean([undersegmentation_error(*pair) for pair in pairs]))
    return {name: round(value, 4) for name, value in figures.items()}


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
    figures: dict[str, Any] = {f"{size}/{regions}": build_figures(size, regions) for size, regions in SIZES}
    for name, found in figures.items():
        print(
            f"{name}: {found['build_ms']:.2f} ms (texture {found['build_texture_ms']:.2f}), scikit-image "
            f"{found['peer_ms']:.0f} ms: {found['ratio']:.0f} x; ASA {found['achievable_accuracy']:.4f} against "
            f"{found['peer_achievable_accuracy']:.4f}"
        )
    figures["collate"] = collate_figures()
    found = figures["collate"]
    print(f"collate of {GRAPHS}: {found['collate_ms']:.2f} ms, torch_geometric {found['peer_ms']:.2f} ms: "
          f"{found['ratio']:.1f} x; with the same edge features {found['ratio_derived']:.1f} x")  # fmt: skip
    write_result("graphs", figures)


if __name__ == "__main__":
    main()
