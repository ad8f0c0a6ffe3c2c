"""Compiled loops that make every region of a volume one connected piece: the plane's, with contacts between slices.

Runs are the stretches of one label in one line of columns; pieces are runs of one label that touch at faces
(6-connected). Label -1 is no region: it is never joined and stays. Deterministic.
"""

from typing import Any

import numpy as np

from medray.graphs.compiled import kernel
from medray.graphs.connectivity_kernels import connect_runs
from medray.graphs.run_kernels import find_runs, meet, running_sums


@kernel
def find_volume_contacts(starts: Any, first: Any, shape: Any) -> Any:
    """Pairs of runs that touch from line to line.

    Args:
        starts: of `find_runs`, on the lines of all slices.
        first: of `find_runs`.
        shape: slices, rows and columns.

    Returns:
        int32 (contacts, 2), the run that comes first and the other; those within slices, then those between slices;
        and how many lie within slices.
    """
    slices, rows, columns = shape
    most = 2 * (len(starts) - 1) * (int(rows > 1) + int(slices > 1))
    contacts = np.empty((most, 2), np.int32)
    count = np.uint32(0)
    for line in range(1, slices * rows):
        if line % rows:
            count = meet((starts, first), (line - 1, line), columns, contacts, count)
    within = count
    for line in range(rows, slices * rows):
        count = meet((starts, first), (line - rows, line), columns, contacts, count)
    return contacts[:count], np.int64(within)


@kernel
def connect_volume(volume: Any, labels: Any, smallest: int) -> Any:
    """Split labels into connected pieces, join pieces of fewer than `smallest` voxels to a neighbour, number the rest.

    The neighbour is the one whose mean value is nearest. Two pieces that are large enough are never joined; a piece
    that has no neighbour stays, however small.

    Args:
        volume: float32 (slices, rows, columns), for the means.
        labels: int32 (slices, rows, columns), -1 for no region; replaced by numbers 0 … in the raster order of the
            regions' first voxels.
        smallest: voxels.

    Returns:
        The number of regions.
    """
    slices, rows, columns = labels.shape
    lines = running_sums(volume.reshape(1, slices * rows, columns))
    runs = find_runs(labels.reshape(slices * rows, columns))
    contacts, _ = find_volume_contacts(runs[0], runs[1], labels.shape)
    return connect_runs(lines, labels.reshape(-1), runs, contacts, smallest)
