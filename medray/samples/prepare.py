"""A unit of the index to one Arrow table of prepared samples: the only way from pixels to model input."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.archive.instance import Instance
from medray.archive.reading import read_instance, read_objects
from medray.errors import Reason, SampleError
from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.schema import OUTCOME
from medray.settings import Recipe

InputKind = Literal["image", "graph"]

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
GRAPH_COLUMNS = ("num_nodes", "num_edges", "x", "pos", "edge_index", "edge_attr")


class Watch:
    """Told of each frame before and after it is decoded; knows where to start, and what not to touch."""

    start: tuple[int, int] = (0, -1)  # row of the unit and frame; -1 is the object's own header

    def begins(self, row: int, frame: int) -> None:
        """The frame is read next.

        Raises:
            SampleError: it must not be touched.
        """

    def ended(self) -> None:
        """Nothing of it is under way any more."""


def images_of(rows: pa.Table, key: bytes, recipe: Recipe) -> pa.Table:
    """The prepared images of a unit, one row a frame, decoded in this process."""
    samples = list(prepared_frames(rows, key, recipe, Watch()))
    return sample_table(samples, flat_lists([sample.get("image") for sample in samples]))


def sample_table(samples: list[dict[str, Any]], images: pa.Array) -> pa.Table:
    """Samples and their images as one table."""
    table = pa.Table.from_pylist(samples, schema=pa.schema([f for f in SAMPLE if f.name != "image"]))
    return table.append_column(SAMPLE.field("image"), images)


def prepared_frames(rows: pa.Table, key: bytes, recipe: Recipe, watch: Watch) -> Iterator[dict[str, Any]]:
    """The samples of a unit from the watch's start on, in order; `image` (flat, float32) where a frame is ok."""
    records = list(enumerate(rows.to_pylist()))[watch.start[0] :]
    contents = iter(read_objects([record for _, record in records if record["status"] == "ok"], key))
    for number, record in records:
        if record["status"] == "ok":
            for sample in _frames(record, next(contents), recipe, _Row(watch, number)):
                yield {**sample, "row": number}
        elif record["status"] == "failed":
            yield {**_outcome(record, None), "row": number}


@dataclass(frozen=True)
class _Row:
    """The watch over one row's frames; it ends with the block, however that ends."""

    watch: Watch
    number: int

    @contextmanager
    def over(self, frame: int) -> Iterator[None]:
        try:
            self.watch.begins(self.number, frame)
            yield
        finally:
            self.watch.ended()

    def first(self) -> int:
        return max(self.watch.start[1], 0) if self.watch.start[0] == self.number else 0


def _outcome(record: dict[str, Any], frame: int | None, error: SampleError | None = None) -> dict[str, Any]:
    suffix = "" if frame is None else f":{frame}"
    return {
        "sample_id": record["object_id"] + suffix,
        "frame": frame,
        "status": "failed",
        "reason": error.reason.value if error else record["reason"],
        "detail": (error.detail or None) if error else record["detail"],
        "flags": record["flags"],
    }


def _frames(
    record: dict[str, Any], content: bytes | SampleError, recipe: Recipe, row: _Row
) -> Iterator[dict[str, Any]]:
    """The samples of one object: each frame of its own, ok or failed; one failed row where the object is unreadable."""
    try:
        if isinstance(content, SampleError):
            raise content
        with row.over(-1):
            instance = read_instance(content, record["format"])
    except Exception as error:
        yield _outcome(record, None, _as_sample_error(error))
        return
    for frame in range(row.first(), len(instance.encoded_frames)):
        try:
            with row.over(frame):
                sample = _prepared(record, instance, frame, recipe)
        except Exception as error:
            sample = _outcome(record, frame, _as_sample_error(error))
        yield sample


def _prepared(record: dict[str, Any], instance: Instance, frame: int, recipe: Recipe) -> dict[str, Any]:
    values = frame_values(instance, frame, recipe.pet)
    image = prepare_image(values, instance.pixels, recipe)
    flags = sorted({*(record["flags"] or ()), *values.flags})
    sample = _outcome(record, frame) | {"status": "ok", "reason": None, "detail": None}
    return sample | {"decoder": values.decoder, "flags": flags, "image": image.ravel()}


def _as_sample_error(error: Exception) -> SampleError:
    """One bad image costs one row, also where the defect is ours: then the row says so."""
    if isinstance(error, SampleError):
        return error
    if isinstance(error, MemoryError):
        return SampleError(Reason.DECODER_OUT_OF_MEMORY, "more than --ray.decoder_gibibytes, or than there is")
    return SampleError(Reason.INTERNAL, type(error).__name__)


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


def to_graphs(samples: pa.Table, recipe: Recipe) -> pa.Table:
    """Prepared images to region graphs, row by row; rows that are not ok keep empty lists."""
    ok = [status == "ok" for status in samples["status"].to_pylist()]
    images = image_batch(usable(samples), recipe) if any(ok) else np.empty((0, 1, 1, 1), np.float32)
    graphs = graphs_to_arrow([build_region_graph(image, recipe.graph) for image in images])
    rows = np.cumsum(ok) - 1
    spread = pa.array([int(row) if good else None for row, good in zip(rows, ok, strict=True)], pa.int64())
    graphs = graphs.take(spread)
    kept = samples.drop_columns(["image"])
    for name in GRAPH_COLUMNS:
        kept = kept.append_column(name, graphs[name])
    return kept
