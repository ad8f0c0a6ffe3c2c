"""The masks that a unit's rows name, read beside the images and laid on the model's input as they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Int16

from medray.archive.reading import read_objects
from medray.errors import Reason, SampleError
from medray.pixels.mask_image import Stored, read_mask, to_classes

Content = bytes | SampleError
Row = dict[str, Any]


@dataclass(frozen=True)
class RowMask:
    """The masks of one image, not yet decoded.

    Attributes:
        mask: its bytes, or why there are none.
        region: of the pixels that count, likewise; None = all count.
        values: of the classes.
    """

    mask: Content
    region: Content | None
    values: Sequence[int]

    def classes(
        self, shape: tuple[int, int], frame: int, frames: int, max_samples: int
    ) -> Int16[np.ndarray, "rows columns"]:
        """The class of each pixel of a frame, -1 where none counts.

        Args:
            shape: rows and columns of the frame.
            frame: its number.
            frames: that the image has.
            max_samples: pixels that a mask may have.

        Raises:
            SampleError: `mask_missing`, `mask_unreadable`, `mask_size` or `mask_value`; the detail of what concerns
                the region begins with that word.
        """
        stored = _stored(self.mask, shape, (frame, frames), max_samples)
        return to_classes(stored, self.values, self._region(shape, (frame, frames), max_samples))

    def _region(
        self, shape: tuple[int, int], page: tuple[int, int], max_samples: int
    ) -> Bool[np.ndarray, "rows columns"] | None:
        if self.region is None:
            return None
        try:
            inside: Bool[np.ndarray, "rows columns"] = _stored(self.region, shape, page, max_samples) != 0
        except SampleError as error:
            raise SampleError(error.reason, f"region: {error.detail or 'not in the archive'}") from None
        return inside


def _stored(content: Content, shape: tuple[int, int], page: tuple[int, int], max_samples: int) -> Stored:
    if isinstance(content, SampleError):
        raise content
    stored = read_mask(content, *page, max_samples)
    if stored.shape != shape:
        said = " x ".join(map(str, stored.shape))
        raise SampleError(Reason.MASK_SIZE, f"{said} pixels on an image of {shape[0]} x {shape[1]}")
    return stored


def row_masks(records: list[Row], key: bytes) -> Iterator[RowMask | None]:
    """The masks of rows, in their order; None of rows that name none.

    Args:
        records: rows of the index with `mask`, `region` (as `archive.mask_labels` joins them) and `mask_values`.
        key: unseals the objects' names.
    """
    if not records or "mask" not in records[0]:
        yield from (None for _ in records)
        return
    masks, regions = (_contents([record[name] for record in records], key) for name in ("mask", "region"))
    for record, mask, region in zip(records, masks, regions, strict=True):
        yield RowMask(mask or SampleError(Reason.MASK_MISSING), region, record["mask_values"])


def _contents(objects: list[Row | None], key: bytes) -> Iterator[Content | None]:
    """The bytes of objects, in their order; None of those that are not asked for."""
    read = iter(read_objects([item for item in objects if item is not None and not _refusal(item)], key))
    for item in objects:
        if item is None:
            yield None
        elif (refused := _refusal(item)) is not None:
            yield refused
        else:
            yield _told(next(read))


def _told(content: Content) -> Content:
    return SampleError(Reason.MASK_UNREADABLE, content.reason.value) if isinstance(content, SampleError) else content


def _refusal(item: Row) -> SampleError | None:
    """Why an object cannot be a mask, where the index knows that."""
    if item["status"] is None:
        return SampleError(Reason.MASK_MISSING)
    if item["status"] == "ok" or item["reason"] in (Reason.NOT_AN_IMAGE, Reason.NON_IMAGE_CLASS):
        return None  # what is no image to the index may be a GIF; of the rest the decoder says what is wrong
    return SampleError(Reason.MASK_UNREADABLE, item["reason"] or "")
