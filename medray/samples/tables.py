"""A unit's prepared samples as one Arrow table. It imports neither DICOM nor compiled kernels until they are needed."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.schema import OUTCOME
from medray.settings import Recipe

InputKind = Literal["image", "graph", "regions"]
"""What a model reads: prepared images, their region graphs, or both with the node of each pixel."""

SAMPLE = pa.schema(
    [
        pa.field("sample_id", pa.string()),
        pa.field("row", pa.int32()),  # of the unit
        pa.field("frame", pa.int32()),
        *OUTCOME,
        pa.field("decoder", pa.string()),
        pa.field("flags", pa.list_(pa.string())),
        pa.field("image", pa.large_list(pa.float32())),  # (channels, size, size), flat; empty where not ok
    ]
)


def sample_table(samples: list[dict[str, Any]], images: pa.Array) -> pa.Table:
    """Samples and their images as one table."""
    table = pa.Table.from_pylist(samples, schema=pa.schema([f for f in SAMPLE if f.name != "image"]))
    return table.append_column(SAMPLE.field("image"), images)


def flat_lists(arrays: list[np.ndarray | None]) -> pa.LargeListArray:
    """Flat float32 arrays as one Arrow list column, None as an empty list; one copy."""
    lengths = [0 if array is None else array.size for array in arrays]
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    held = [array for array in arrays if array is not None]
    values = np.concatenate(held) if held else np.empty(0, np.float32)
    return pa.LargeListArray.from_arrays(offsets, pa.array(values, pa.float32()))


def usable(samples: pa.Table) -> pa.Table:
    """The rows that are ok: the table itself where all are, as in most units; a filter would copy every image."""
    ok = pc.equal(samples["status"], "ok")
    return samples if pc.all(ok, min_count=0).as_py() else samples.filter(ok)


def image_batch(samples: pa.Table, recipe: Recipe) -> np.ndarray:
    """The images of rows that are all ok: float32 (batch, channels, size, size), a view where Arrow allows it."""
    column = samples["image"].combine_chunks()
    column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, recipe.channels, recipe.size, recipe.size)


def to_graphs(samples: pa.Table, recipe: Recipe, kind: InputKind) -> pa.Table:
    """Prepared images to region graphs, row by row; rows that are not ok keep empty lists.

    The graphs stand in the place of the images, or (`regions`) beside them and the label maps.
    """
    ok = [status == "ok" for status in samples["status"].to_pylist()]
    images = image_batch(usable(samples), recipe) if any(ok) else np.empty((0, 1, 1, 1), np.float32)
    graphs = graph_table(images, recipe, kind)
    rows = np.cumsum(ok) - 1
    spread = pa.array([int(row) if good else None for row, good in zip(rows, ok, strict=True)], pa.int64())
    graphs = graphs.take(spread)
    kept = samples if kind == "regions" else samples.drop_columns(["image"])
    for name in graphs.column_names:
        kept = kept.append_column(name, graphs[name])
    return kept


def graph_table(images: np.ndarray, recipe: Recipe, kind: InputKind) -> pa.Table:
    """Columns of `graphs_to_arrow`, a row an image; for `regions` also `regions`, the node of each pixel (flat)."""
    from medray.graphs.arrow import graphs_to_arrow
    from medray.graphs.build import build_with_labels  # compiled kernels take a second to load, and images need none

    built = [build_with_labels(image, recipe.graph) for image in images]
    table = graphs_to_arrow([graph for graph, _ in built])
    if kind == "regions":
        offsets = np.cumsum([0, *(labels.size for _, labels in built)], dtype=np.int64)
        values = np.concatenate([labels.ravel() for _, labels in built]) if built else np.empty(0, np.int32)
        table = table.append_column("regions", pa.LargeListArray.from_arrays(offsets, pa.array(values, pa.int32())))
    return table
