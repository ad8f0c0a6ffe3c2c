"""Bytes to an Instance: pixel module and frames as stored, nothing decoded and nothing of the patient."""

import math
import struct
from dataclasses import replace
from typing import Any

from medray.archive.codestreams import native_syntax, sniffed_syntax
from medray.archive.elements import EXPLICIT_BIG, UNDEFINED
from medray.archive.fetching import read_object, read_objects
from medray.archive.frames import Frame, encapsulated_frames, frame_bits, native_frames
from medray.archive.headers import EXPLICIT, GUESSED, Header, PixelElement, RefusedError, read_header
from medray.archive.images import image_fields
from medray.archive.instance import Instance, PixelModule
from medray.archive.pixel_module import EXTENDED_LENGTHS, EXTENDED_OFFSETS, INSTANCE_TAGS, SAMPLES_AT_MOST, pixel_module
from medray.archive.sources import BytesSource
from medray.errors import Reason, SampleError

MISSING_AT_MOST = 10_000  # frames with a row each; a Number of Frames (0028,0008) that lies by more costs one row
ITEM_BYTES = b"\xfe\xff\x00\xe0"
FILE_FIELDS = {
    "transfer_syntax_uid",
    "rows",
    "columns",
    "frames",
    "samples_per_pixel",
    "bits_allocated",
    "bits_stored",
    "high_bit",
    "pixel_representation",
    "photometric_interpretation",
    "spacing_source",
}


def read_instance(data: bytes, format: str) -> Instance:
    """An object's bytes as an Instance. `format` is `dicom`, `png`, `jpeg` or `tiff`.

    Raises:
        SampleError: for whatever keeps it from being an image.
    """
    if format == "dicom":
        return _dicom(data)
    if format not in ("png", "jpeg", "tiff"):
        raise SampleError(Reason.NOT_AN_IMAGE)
    fields = image_fields(BytesSource(data), format)
    used: dict[str, Any] = {name: value for name, value in fields.items() if name in FILE_FIELDS}
    if "spacing_source" in fields:
        used["spacing_mm"] = fields["row_spacing_mm"], fields["column_spacing_mm"]
    module = PixelModule(**used, flags=tuple(fields["flags"]))
    _check_samples(module)
    return Instance(module, (data,))


def _check_samples(module: PixelModule) -> None:
    samples = module.rows * module.columns * module.samples_per_pixel
    if samples > SAMPLES_AT_MOST:
        raise SampleError(Reason.IMAGE_TOO_LARGE, f"{samples} samples a frame; {SAMPLES_AT_MOST} at the most")


def _dicom(data: bytes) -> Instance:
    try:
        header = read_header(data, whole=True, wanted=INSTANCE_TAGS)
    except RefusedError:
        raise SampleError(Reason.CORRUPT_HEADER, "no DICOM data set") from None
    pixels = header.pixels
    if pixels is None or not pixels.length:
        raise SampleError(Reason.PIXELS_MISSING if header.complete else Reason.CORRUPT_HEADER, "no pixel data")
    stored = memoryview(header.data)[pixels.start :]
    if pixels.length != UNDEFINED:
        stored = stored[: pixels.length]
    syntax = _true_syntax(header, pixels, stored)
    module = pixel_module(header, syntax)
    flags: list[str] = []
    frames = _split(header, module, stored, flags)
    if (missing := frames.count(None)) > MISSING_AT_MOST:
        raise SampleError(Reason.FRAME_MISSING, f"{missing} of {module.frames} frames")
    if flags:
        module = replace(module, flags=tuple(dict.fromkeys((*module.flags, *flags))))
    return Instance(module, frames)


def _true_syntax(header: Header, pixels: PixelElement, stored: memoryview) -> str:
    """The transfer syntax that the pixel data show, flagged where the meta group says otherwise.

    Raises:
        SampleError: unsupported_pixels where the two cannot be reconciled.
    """
    declared = header.transfer_syntax_uid or EXPLICIT
    items = pixels.length == UNDEFINED or bytes(stored[:4]) == ITEM_BYTES
    if native_syntax(declared):
        if not (items and pixels.length == UNDEFINED):
            # a data set written otherwise than declared has its pixels written so too
            return declared if "encoding_differs_from_transfer_syntax" not in header.flags else GUESSED[header.coding]
        found = sniffed_syntax(stored)
        header.flag("encapsulated_despite_transfer_syntax")
        if found is None:
            raise SampleError(Reason.UNSUPPORTED_PIXELS, "encapsulated pixel data of unknown coding")
        return found
    if items:
        return declared
    header.flag("native_despite_transfer_syntax")
    return GUESSED[header.coding]


def _split(header: Header, module: PixelModule, stored: memoryview, flags: list[str]) -> tuple[Frame, ...]:
    if not native_syntax(module.transfer_syntax_uid):
        return encapsulated_frames(
            stored, module.frames, module.transfer_syntax_uid, extended=_extended(header), flags=flags
        )
    bits = frame_bits(
        module.rows,
        module.columns,
        module.samples_per_pixel,
        module.bits_allocated,
        photometric=module.photometric_interpretation,
    )
    if "native_despite_transfer_syntax" in header.flags and abs(len(stored) - math.ceil(bits * module.frames / 8)) > 1:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, "pixel data neither encapsulated nor of the native length")
    if header.coding is EXPLICIT_BIG and module.bits_allocated <= 8 and header.pixels and header.pixels.vr == b"OW":
        words = len(stored) // 2
        stored = memoryview(struct.pack(f"<{words}H", *struct.unpack_from(f">{words}H", stored)))
    return native_frames(stored, bits, module.frames, flags)


def _extended(header: Header) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The Extended Offset Table. Source: DICOM PS3.3 C.7.6.3.1.8."""
    tables = [header.values.get(tag, b"") for tag in (EXTENDED_OFFSETS, EXTENDED_LENGTHS)]
    if not tables[0] or len(tables[0]) != len(tables[1]) or len(tables[0]) % 8:
        return None
    offsets, lengths = (struct.unpack(f"<{len(table) // 8}Q", table) for table in tables)
    return offsets, lengths


__all__ = ["read_instance", "read_object", "read_objects"]
