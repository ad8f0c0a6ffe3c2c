"""Compiled roads from an image to its regions, and from these to all sums: Python's lock is taken once for each.

Each of the calls in here would cost 1 to 5 us from Python, and hold the lock for as long.
"""

from typing import Any

import numpy as np

from medray.graphs.blur_kernels import blur_inside
from medray.graphs.compiled import kernel
from medray.graphs.connectivity_kernels import connect
from medray.graphs.edge_kernels import sum_edges
from medray.graphs.region_kernels import sum_regions
from medray.graphs.run_kernels import find_runs, running_sums
from medray.graphs.slic_kernels import slic


@kernel
def segment(view: Any, taps: Any, grid: Any, weight: Any, counts: Any) -> Any:
    """Superpixels of an image.

    Args:
        view: float32 (channels, rows, columns), and the mask, bool (rows, columns), (0, 0) for none.
        taps: weights of the blur, none for no blur.
        grid: rows and columns of the first centres.
        weight: of `slic`.
        counts: sweeps and stride of `slic`, and the smallest piece of `connect`.

    Returns:
        Labels, int32 (rows, columns).
    """
    image, inside = view
    sweeps, stride, smallest = counts
    smooth = image
    if len(taps):
        smooth = np.empty_like(image)
        for channel in range(len(image)):
            blur_inside(image[channel], taps, inside, smooth[channel])
    lines, labels = running_sums(smooth), np.empty(image.shape[1:], np.int32)
    slic((smooth, lines, inside), grid, weight, sweeps, stride, labels)
    connect(lines, labels, smallest)
    return labels


@kernel
def sum_image(planes: Any, labels: Any, masked: bool, corners: bool) -> Any:
    """Runs of the labels, and what is summed over regions and over their boundaries.

    Args:
        planes: as of `sum_regions`.
        labels: int32 (rows, columns).
        masked: whether a label may be -1.
        corners: of `sum_edges`.

    Returns:
        What `find_runs`, `sum_regions` and `sum_edges` return; perimeters are complete.
    """
    runs = find_runs(labels)
    sums, colours = sum_regions(planes, labels, runs, labels.max() + 1, masked)
    pairs, edges = sum_edges(planes[1], labels, runs, sums, corners)
    return runs, (sums, colours), (pairs, edges)
