"""Draw docs/pictures/graphs-*.png: one image as a region graph by each builder, and under a mask.

python docs/make_graph_pictures.py             a generated chest
python docs/make_graph_pictures.py IMAGE OUT   a DICOM or PNG of yours, into a folder of yours
"""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

from docs.make_pictures import asked_for, prepared
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.graphs.region_graph import RegionGraph
from medray.image_settings import GraphRecipe
from medray.reports.graph_images import borders, centres

RECIPE = GraphRecipe(regions=80, neighbours=4)
BORDER, EDGE, NODE, ABOVE = "#ffd23f", "#3bceac", "#ee4266", ("#ffffff", "#3bceac", "#ee4266")


def field_of_view(size: int) -> np.ndarray:
    """A disc."""
    rows, columns = np.mgrid[:size, :size] - (size - 1) / 2
    view: np.ndarray = np.hypot(rows, columns) < 0.42 * size
    return view


def draw_graph(axes: Axes, graph: RegionGraph, labels: np.ndarray) -> None:
    """Borders of the regions, their centroids and the edges between them."""
    places = centres(labels, graph.num_nodes)
    axes.add_collection(LineCollection(list(borders(labels)), colors=BORDER, linewidths=0.5))
    axes.add_collection(LineCollection(list(places[graph.edge_index.T.astype(int)]), colors=EDGE, linewidths=0.8))
    axes.scatter(*places.T, s=7, color=NODE, zorder=3)


def draw_levels(axes: Axes, graph: RegionGraph, labels: np.ndarray) -> None:
    """Borders of the regions of each level, thicker and darker the higher it is."""
    ends = graph.edge_index.astype(int)
    up = graph.level[ends[0]] < graph.level[ends[1]]
    parent = np.arange(graph.num_nodes)
    parent[ends[0, up]] = ends[1, up]
    for colour, width in zip(ABOVE, (0.3, 1.0, 1.8), strict=True):
        axes.add_collection(LineCollection(list(borders(labels)), colors=colour, linewidths=width))
        labels = parent[labels]


def draw(image: np.ndarray, recipe: GraphRecipe, mask: np.ndarray | None, path: Path) -> None:
    """The image as it is, and with its graph over it."""
    figure = Figure(figsize=(8, 4.2), layout="constrained")
    graph, labels = build_region_graph(image, recipe, mask), superpixel_labels(image, recipe, mask)
    counts = np.bincount(graph.level).tolist()
    for axes, title in zip(figure.subplots(1, 2), (f"{image.shape[2]} x {image.shape[1]} pixels", ""), strict=True):
        axes.imshow(image.mean(axis=0), cmap="gray")
        axes.axis("off")
        axes.set_title(title or f"{' + '.join(map(str, counts))} nodes, {graph.num_edges} edges", fontsize=9)
    if recipe.builder == "multiscale":
        draw_levels(axes, graph, labels)
    else:
        draw_graph(axes, graph, labels)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=90)
    Image.open(buffer).convert("RGB").quantize(128, method=Image.Quantize.FASTOCTREE).save(path, optimize=True)


def main() -> None:
    """Draw one picture a builder, and one under a mask."""
    instance, out = asked_for()
    image = prepared(instance)
    for builder in ("superpixel", "grid", "knn", "multiscale"):
        draw(image, replace(RECIPE, builder=builder), None, out / f"graphs-{builder}.png")
    draw(image, RECIPE, field_of_view(image.shape[1]), out / "graphs-mask.png")


if __name__ == "__main__":
    main()
