"""A unit of the index to one Arrow table of prepared samples: the only way from pixels to model input."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from medray.archive.instance import Instance
from medray.archive.reading import read_instance, read_objects
from medray.errors import Reason, SampleError
from medray.image_settings import DecodeSettings
from medray.pixels.placement import Placement
from medray.pixels.prepare import prepare_placed
from medray.pixels.values import FrameValues, frame_values, with_pet_values
from medray.samples.clock import running, stage
from medray.samples.masks import RowMask, row_masks
from medray.samples.tables import flat_lists, sample_table
from medray.samples.units import WANTED
from medray.settings import Recipe


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
    samples = [sample for (sample,) in prepared_frames(rows, key, [recipe], DecodeSettings())]
    return sample_table(
        samples, flat_lists([sample.get("image") for sample in samples]), with_masks="mask" in rows.column_names
    )


def prepared_frames(
    rows: pa.Table, key: bytes, recipes: Sequence[Recipe], decode: DecodeSettings, *, watch: Watch | None = None
) -> Iterator[list[dict[str, Any]]]:
    """The samples of a unit from the watch's start on, in order: of each frame, read and decoded once, one a recipe.

    Where a sample is ok it has `image` (flat, float32) and `placement`, and `mask` (int16) where the rows name masks.
    What one recipe cannot prepare, the others may. Where the rows have WANTED, only those frames are decoded, and an
    object without any is not read.
    """
    watch = watch or Watch()
    records = list(enumerate(rows.to_pylist()))[watch.start[0] :]
    readable = [record for _, record in records if _is_read(record)]
    contents = zip(read_objects(readable, key), row_masks(readable, key), strict=True)
    for number, record in records:
        if _is_read(record):
            with stage("read"):
                content, mask = next(contents)
            running().bytes_read += 0 if isinstance(content, SampleError) else record["length"]
            for samples in _frames(record, content, recipes, decode, row=_Row(watch, number, mask)):
                yield [{**sample, "row": number} for sample in samples]
        elif record["status"] == "failed":
            yield [{**_outcome(record, None), "row": number} for _ in recipes]


def _is_read(record: dict[str, Any]) -> bool:
    return record["status"] == "ok" and record.get(WANTED) != []


@dataclass(frozen=True)
class _Row:
    """The watch over one row's frames, which ends with the block, however that ends; and the row's mask."""

    watch: Watch
    number: int
    mask: RowMask | None

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
    record: dict[str, Any],
    content: bytes | SampleError,
    recipes: Sequence[Recipe],
    decode: DecodeSettings,
    *,
    row: _Row,
) -> Iterator[list[dict[str, Any]]]:
    """The samples of one object: each frame of its own, ok or failed; one failed row where the object is unreadable."""
    try:
        if isinstance(content, SampleError):
            raise content
        with row.over(-1):
            instance = read_instance(content, record["format"])
    except Exception as error:
        yield [_outcome(record, None, _as_sample_error(error)) for _ in recipes]
        return
    for frame in _frames_to_read(record, instance.pixels.frames, row.first()):
        try:
            if frame >= instance.pixels.frames:
                raise SampleError(Reason.FRAME_MISSING, f"the object has {instance.pixels.frames} frames")
            with row.over(frame):
                checked = is_drawn(f"{record['object_id']}:{frame}", decode.cross_check)
                values = frame_values(instance, frame, decode, checked=checked)
                place = _Frame(record, instance, frame, row.mask)
                samples = [place.prepared_or_failed(values, recipe, decode.max_samples) for recipe in recipes]
        except Exception as error:
            samples = [_outcome(record, frame, _as_sample_error(error)) for _ in recipes]
        yield samples


def _frames_to_read(record: dict[str, Any], there: int, first: int) -> list[int]:
    """Those that the row wants, or all."""
    wanted = record.get(WANTED)
    chosen = range(there) if wanted is None or None in wanted else sorted(wanted)
    return [frame for frame in chosen if frame >= first]


@dataclass(frozen=True)
class _Frame:
    """A frame of an object, and the mask of its row."""

    record: dict[str, Any]
    instance: Instance
    frame: int
    mask: RowMask | None

    def prepared_or_failed(self, values: FrameValues, recipe: Recipe, max_samples: int) -> dict[str, Any]:
        try:
            return self._prepared(values, recipe, max_samples)
        except Exception as error:
            return _outcome(self.record, self.frame, _as_sample_error(error))

    def _prepared(self, values: FrameValues, recipe: Recipe, max_samples: int) -> dict[str, Any]:
        pixels = self.instance.pixels
        image, placement = prepare_placed(with_pet_values(values, pixels, recipe.pet), pixels, recipe)
        sample = _outcome(self.record, self.frame) | {"status": "ok", "reason": None, "detail": None}
        sample |= {
            "decoder": values.decoder,
            "flags": sorted({*(self.record["flags"] or ()), *values.flags}),
            "image": image.ravel(),
            "placement": placement.numbers(),
        }
        if self.mask is not None:
            sample["mask"] = _placed_mask(self.mask, sample, self.frame, pixels.frames, max_samples)
        return sample


def _placed_mask(mask: RowMask, sample: dict[str, Any], frame: int, frames: int, max_samples: int) -> np.ndarray:
    placement = Placement.of(sample["placement"])
    return placement.to_input(mask.classes(placement.frame, frame, frames, max_samples))


def is_drawn(sample_id: str, share: float) -> bool:
    """Whether a sample belongs to this share of all: it depends on its id alone, so on every run it is the same."""
    return int(hashlib.sha256(sample_id.encode()).hexdigest()[:8], 16) < share * 2**32


def _as_sample_error(error: Exception) -> SampleError:
    """One bad image costs one row, also where the defect is ours: then the row says so."""
    if isinstance(error, SampleError):
        return error
    if isinstance(error, MemoryError):
        return SampleError(Reason.DECODER_OUT_OF_MEMORY, "more than --decode.gibibytes, or than there is")
    return SampleError(Reason.INTERNAL, type(error).__name__)
