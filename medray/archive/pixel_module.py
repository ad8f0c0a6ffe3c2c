"""A header to the Image Pixel module, with what functional groups and lookup tables say of the values.

Source: DICOM PS3.3 C.7.6.3 (Image Pixel), C.7.6.16 (functional groups), C.11.1 (modality LUT), C.11.2 (VOI LUT).
"""

from typing import Any

from medray.archive import spacing
from medray.archive.headers import Header
from medray.archive.instance import LookupTable, PixelModule
from medray.archive.lookup import MODALITY_LUT_SEQUENCE, PALETTE_TAGS, modality_lut, palette
from medray.archive.pet import PET_TAGS, suv_scale
from medray.archive.rows import BINARIES, INDEX_TAGS, RESCALES, number_of_frames
from medray.archive.values import binary, code, decimal, decimals, doubles
from medray.archive.voi import VOI_TAGS, read_voi
from medray.errors import Reason, SampleError

SAMPLES_AT_MOST = 2**31  # a frame that says more is lying; `--decode.max_samples` is what users allow
FRAMES_AT_MOST = 2**20
MODALITY, PHOTOMETRIC, PLANAR, ASPECT = 0x00080060, 0x00280004, 0x00280006, 0x00280034
PADDING, PADDING_LIMIT = 0x00280120, 0x00280121
FLOAT_PADDING = {32: (0x00280122, 0x00280124), 64: (0x00280123, 0x00280125)}  # value, range limit
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002
FRAME_GROUPS = spacing.FRAME_GROUPS
VALUE_TRANSFORMATION = 0x00289145
FLOAT_BITS: dict[int, Any] = {0x7FE00008: 32, 0x7FE00009: 64}
INSTANCE_TAGS = INDEX_TAGS.union(
    (PLANAR, ASPECT, PADDING, PADDING_LIMIT, MODALITY_LUT_SEQUENCE, FRAME_GROUPS),
    (EXTENDED_OFFSETS, EXTENDED_LENGTHS),
    PALETTE_TAGS,
    VOI_TAGS,
    PET_TAGS,
    *FLOAT_PADDING.values(),
)

Rescale = tuple[tuple[float, float], ...]


def pixel_module(header: Header, syntax: str) -> PixelModule:
    """The pixel module of a whole object.

    Raises:
        SampleError: corrupt_header, image_too_large, unsupported_pixels or bad_rescale.
    """
    pixels = _described(header)
    _check_size(pixels)
    frames: int = pixels["frames"]
    groups = header.items(FRAME_GROUPS) if _has(header, FRAME_GROUPS) else []
    if groups and len(groups) != frames:
        header.flag("functional_groups_differ_from_frames")
    distance, source = _spacing(header, groups)
    padding, padding_limit = _padding(header, pixels)
    photometric, modality = pixels["photometric_interpretation"], code(header, MODALITY)
    rescale, table = _rescale(header, groups, frames), modality_lut(header, pixels["pixel_representation"])
    return PixelModule(
        transfer_syntax_uid=syntax,
        **pixels,
        modality=modality,
        rescale=rescale,
        modality_lut=table,
        palette=palette(header) if photometric == "PALETTE COLOR" else None,
        voi=read_voi(header, frames, signed=_signed_values(pixels, rescale, table)),
        suv=suv_scale(header) if modality == "PT" else None,
        padding_value=padding,
        padding_range_limit=padding_limit,
        spacing_mm=distance,
        spacing_source=source,
        pixel_aspect_ratio=_aspect(header),
        flags=tuple(header.flags),
    )


def _described(header: Header) -> dict[str, Any]:
    """Sizes and depths; only what the standard or the pixel element itself fixes is filled in."""
    found: dict[str, Any] = {name: binary(header, tag) for name, tag in BINARIES.items()}
    float_bits = FLOAT_BITS.get(header.pixels.tag) if header.pixels else None
    found["float_bits"] = float_bits
    found["frames"] = number_of_frames(header)
    found["photometric_interpretation"] = code(header, PHOTOMETRIC)
    found["planar_configuration"] = binary(header, PLANAR) or 0
    if found["samples_per_pixel"] is None:
        header.flag("samples_per_pixel_missing")
        found["samples_per_pixel"] = 1
    if float_bits:
        found |= {"bits_allocated": float_bits, "bits_stored": float_bits, "high_bit": float_bits - 1}
    needed = ("rows", "columns", "bits_allocated", "photometric_interpretation")
    missing = [name for name in needed if found[name] is None]
    if missing:
        raise SampleError(Reason.CORRUPT_HEADER, f"missing: {', '.join(missing)}")
    for name, default in (
        ("bits_stored", found["bits_allocated"]),
        ("high_bit", (found["bits_stored"] or found["bits_allocated"]) - 1),
        ("pixel_representation", 0),
    ):
        if found[name] is None:
            if not (float_bits and name == "pixel_representation"):
                header.flag(f"{name}_missing")
            found[name] = default
    return found


def _check_size(pixels: dict[str, Any]) -> None:
    rows, columns, samples = pixels["rows"], pixels["columns"], pixels["samples_per_pixel"]
    if min(rows, columns, samples, pixels["bits_allocated"]) < 1:
        detail = f"{rows} x {columns} pixels, {samples} samples of {pixels['bits_allocated']} bits"
        raise SampleError(Reason.CORRUPT_HEADER, detail)
    if rows * columns * samples > SAMPLES_AT_MOST:
        detail = f"{rows * columns * samples} samples a frame; {SAMPLES_AT_MOST} at the most"
        raise SampleError(Reason.IMAGE_TOO_LARGE, detail)
    if pixels["frames"] > FRAMES_AT_MOST:
        raise SampleError(Reason.IMAGE_TOO_LARGE, f"{pixels['frames']} frames; {FRAMES_AT_MOST} at the most")


def _has(header: Header, tag: int) -> bool:
    return tag in header.values or tag in header.nested


def _shared(header: Header) -> list[Header]:
    return header.items(spacing.SHARED_GROUPS) if _has(header, spacing.SHARED_GROUPS) else []


def _rescale(header: Header, groups: list[Header], frames: int) -> Rescale:
    """(slope, intercept) a frame where the functional groups say so, else once, else nothing."""
    found = [_group_rescale(group) for group in groups]
    if any(found):
        if len(found) != frames or not all(found):
            if len(set(found)) > 1 or not all(found):
                said = sum(1 for pair in found if pair)
                raise SampleError(Reason.BAD_RESCALE, f"rescale of {said} frames of {frames}")
            found = found[:1]
        pairs = tuple(pair for pair in found if pair)
        return pairs if len(set(pairs)) > 1 else pairs[:1]
    shared = [pair for group in _shared(header) if (pair := _group_rescale(group))]
    own = _slope_and_intercept(header)
    return tuple(shared[:1]) or ((own,) if own else ())


def _group_rescale(group: Header) -> tuple[float, float] | None:
    items = group.items(VALUE_TRANSFORMATION) if _has(group, VALUE_TRANSFORMATION) else []
    return next((pair for item in items if (pair := _slope_and_intercept(item))), None)


def _slope_and_intercept(header: Header) -> tuple[float, float] | None:
    """A missing one of the two is 1 or 0; an empty one counts as missing (flagged).

    Raises:
        SampleError: bad_rescale where one is no number.
    """
    found: dict[str, float | None] = {}
    for name, tag in RESCALES.items():
        raw = header.values.get(tag)
        found[name] = decimal(header, tag)
        if raw is not None and found[name] is None:
            if raw.strip(b" \0"):
                raise SampleError(Reason.BAD_RESCALE, f"{name} is no number")
            header.flag("empty_rescale")
    slope, intercept = found["rescale_slope"], found["rescale_intercept"]
    if slope is None and intercept is None:
        return None
    if slope == 0:
        header.flag("rescale_slope_zero")
    return 1.0 if slope is None else slope, 0.0 if intercept is None else intercept


def _spacing(header: Header, groups: list[Header]) -> spacing.Spacing:
    """As the header says, else what all frames agree on."""
    distance, source = spacing.pixel_spacing(header)
    if distance is not None or not groups:
        return distance, source
    found = {spacing.measured(group) for group in groups}
    if len(found) > 1:
        header.flag("spacing_differs_between_frames")
        return None, None
    only = found.pop()
    return only, "functional_groups" if only else None


def _signed_values(pixels: dict[str, Any], rescale: Rescale, table: LookupTable | None) -> bool:
    """Whether modality values can be negative, by the header alone. Source: DICOM PS3.3 C.11.2.1.1."""
    if table is not None:
        return False
    bits, signed = min(pixels["bits_stored"], 64), pixels["pixel_representation"] == 1
    ends = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return min(slope * end + intercept for slope, intercept in rescale or ((1.0, 0.0),) for end in ends) < 0


def _padding(header: Header, pixels: dict[str, Any]) -> tuple[float | None, float | None]:
    """Pixel Padding Value and Range Limit, of float pixel data their float ones."""
    if pixels["float_bits"] is None:
        value, limit = (binary(header, tag, pixels["pixel_representation"] == 1) for tag in (PADDING, PADDING_LIMIT))
        return value, limit
    bits = pixels["float_bits"]
    first, last = (doubles(header, tag, single=bits == 32) for tag in FLOAT_PADDING[bits])
    return first[0] if first else None, last[0] if last else None


def _aspect(header: Header) -> tuple[int, int] | None:
    raw = header.values.get(ASPECT)
    numbers = decimals(header, ASPECT, 2) if raw else None
    return (int(numbers[0]), int(numbers[1])) if numbers and 1 <= min(numbers) <= max(numbers) < 2**31 else None
