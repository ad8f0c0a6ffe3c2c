"""A region graph drawn over its image: borders of the regions, their centroids, the edges between them."""

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw

from medray.reports.images import data_address, grey_levels

BORDER, EDGE, NODE = (255, 210, 63), (59, 206, 172), (238, 66, 102)
_SIDE = 768  # pixels of the picture's longer side
_FINER = 2  # drawn so many times larger and shrunk, so that lines are smooth
_DIMMED = 0.75


def borders(labels: Int[np.ndarray, "rows columns"]) -> Float[np.ndarray, "lines 2 2"]:
    """Pixel sides between two labels, as lines from (x, y) to (x, y); a pixel's centre is at whole numbers."""
    row, column = np.nonzero(labels[:, 1:] != labels[:, :-1])
    upright = np.stack([column + 0.5, row - 0.5, column + 0.5, row + 0.5], axis=1)
    row, column = np.nonzero(labels[1:] != labels[:-1])
    level = np.stack([column - 0.5, row + 0.5, column + 0.5, row + 0.5], axis=1)
    return np.concatenate([upright, level]).reshape(-1, 2, 2)


def centres(labels: Int[np.ndarray, "rows columns"], regions: int) -> Float[np.ndarray, "regions 2"]:
    """(x, y) of each region's centroid, in pixels; NaN where it has none."""
    flat, (rows, columns) = labels.ravel() + 1, np.indices(labels.shape)
    count = np.bincount(flat, minlength=regions + 1)[1:].astype(float)
    count[count == 0] = np.nan
    return np.stack([np.bincount(flat, axis.ravel(), regions + 1)[1:] / count for axis in (columns, rows)], axis=1)


def graph_png(
    image: Float[np.ndarray, "rows columns"],
    labels: Int[np.ndarray, "rows columns"],
    edge_index: Int[np.ndarray, "2 edges"],
) -> str:
    """Give the dimmed image under its graph as a data address; nodes that own no pixel are left out.

    Args:
        image: grey values of any range.
        labels: the node of each pixel; below 0 = none.
        edge_index: both directions of an edge, or one.
    """
    scale = _FINER * max(_SIDE / max(image.shape), 1)
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    grey = Image.fromarray(np.rint(grey_levels(image) * _DIMMED).astype(np.uint8))
    picture = grey.resize(size, Image.Resampling.BICUBIC).convert("RGB")
    pen = ImageDraw.Draw(picture)
    regions = int(labels.max()) + 1
    places = (centres(labels, regions) + 0.5) * scale
    ends = edge_index[
        :, np.isin(edge_index, np.unique(labels[labels >= 0])).all(axis=0) & (edge_index[0] < edge_index[1])
    ]
    _lines(pen, (borders(labels) + 0.5) * scale, BORDER, _FINER)
    _lines(pen, places[ends.T], EDGE, 2 * _FINER)
    radius = 5.0 * _FINER
    for x, y in places[np.isfinite(places[:, 0])]:
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=NODE)
    return data_address(picture.resize((size[0] // _FINER, size[1] // _FINER), Image.Resampling.LANCZOS))


def _lines(
    pen: ImageDraw.ImageDraw, lines: Float[np.ndarray, "lines 2 2"], colour: tuple[int, int, int], width: int
) -> None:
    for (x, y), (to_x, to_y) in lines.tolist():
        pen.line((x, y, to_x, to_y), fill=colour, width=width)
