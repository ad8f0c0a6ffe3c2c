"""A unit's prepared samples as one Arrow table. It imports neither DICOM nor compiled kernels until they are needed."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray import stages
from medray.samples.clock import stage
from medray.samples.frame_sets import FRAMES, frames_of, with_frames
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
        pa.field("placement", pa.list_(pa.int32())),  # pixels.placement.Placement; null where not ok
        pa.field("image", pa.large_list(pa.float32())),  # (channels, size, size), flat; empty where not ok
    ]
)


def sample_table(samples: list[dict[str, Any]], images: pa.Array, *, with_masks: bool = False) -> pa.Table:
    """Samples and their images, and `mask` (int16, (size, size), flat) where the unit has masks, as one table."""
    table = pa.Table.from_pylist(samples, schema=pa.schema([f for f in SAMPLE if f.name != "image"]))
    table = table.append_column(SAMPLE.field("image"), images)
    if not with_masks:
        return table
    return table.append_column("mask", int_lists([sample.get("mask") for sample in samples], np.int16))


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


def mask_batch(samples: pa.Table, recipe: Recipe) -> np.ndarray | None:
    """The masks of rows that are all ok: int16 (batch, size, size), class numbers; None where there is no `mask`."""
    if "mask" not in samples.column_names:
        return None
    values: np.ndarray = samples["mask"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(-1, recipe.size, recipe.size)


def to_graphs(samples: pa.Table, recipe: Recipe, kind: InputKind, classes: int = 0) -> pa.Table:
    """Prepared images to region graphs, row by row; rows that are not ok keep empty lists.

    Of samples of several frames each frame has its graph. The graphs stand in the place of the images, or (`regions`)
    beside them and the label maps. What each node should answer stands in the place of a mask.

    Args:
        samples: prepared images, with a column `mask` or without.
        recipe: the one that prepared them.
        kind: what the model reads.
        classes: of the masks; 0 = there is none.
    """
    if FRAMES in samples.column_names:
        return with_frames(samples, to_graphs(frames_of(samples), recipe, kind, classes))
    ok = [status == "ok" for status in samples["status"].to_pylist()]
    good = usable(samples)
    stages.reach("graph", *good["sample_id"].to_pylist())
    images = image_batch(good, recipe) if any(ok) else np.empty((0, 1, 1, 1), np.float32)
    with stage("graph"):
        graphs = graph_table(images, recipe, kind, masks=mask_batch(good, recipe), classes=classes)
    rows = np.cumsum(ok) - 1
    spread = pa.array([int(row) if good else None for row, good in zip(rows, ok, strict=True)], pa.int64())
    graphs = graphs.take(spread)
    dropped = {"mask"} if kind == "regions" else {"mask", "image"}
    kept = samples.drop_columns([name for name in samples.column_names if name in dropped])
    for name in graphs.column_names:
        kept = kept.append_column(name, graphs[name])
    return kept


def graph_table(
    images: np.ndarray, recipe: Recipe, kind: InputKind, *, masks: np.ndarray | None = None, classes: int = 0
) -> pa.Table:
    """Columns of `graphs_to_arrow`, a row an image; for `regions` also `regions`, the node of each pixel (flat).

    With masks also `class_counts`, the pixels of each class that each node has (flat, node by node).
    """
    from medray.graphs.arrow import graphs_to_arrow
    from medray.graphs.build import build_with_labels  # compiled kernels take a second to load, and images need none
    from medray.graphs.node_targets import class_counts

    built = []
    for image in images:
        stages.reach("graph")
        built.append(build_with_labels(image, recipe.graph))
    table = graphs_to_arrow([graph for graph, _ in built])
    if kind == "regions":
        table = table.append_column("regions", int_lists([labels for _, labels in built], np.int32))
    if masks is not None:
        pairs = zip(built, masks, strict=True)
        counts = [class_counts(labels, mask, graph.num_nodes, classes) for (graph, labels), mask in pairs]
        table = table.append_column("class_counts", int_lists(counts, np.int32))
    return table


def int_lists(arrays: Sequence[np.ndarray | None], kind: type[np.int16 | np.int32]) -> pa.LargeListArray:
    """Whole numbers as one Arrow list column, row by row; None as an empty list."""
    offsets = np.cumsum([0, *(0 if array is None else array.size for array in arrays)], dtype=np.int64)
    held = [array.ravel() for array in arrays if array is not None]
    values = np.concatenate(held).astype(kind, copy=False) if held else np.empty(0, kind)
    return pa.LargeListArray.from_arrays(offsets, pa.array(values))


def to_ipc(table: pa.Table) -> bytes:
    """A table as bytes of Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(data: bytes | pa.Buffer) -> pa.Table:
    """The table that `to_ipc` made bytes of."""
    return pa.ipc.open_stream(data).read_all()
