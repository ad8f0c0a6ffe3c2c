"""Stored values to modality values, and PET to SUV.

Source: DICOM PS3.3 C.11.1 (modality LUT), C.7.5.1.1.2 (pixel padding), C.8.9.1.1.3 (PET units).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Real, Shaped

from medray.archive.instance import Instance, LookupTable, PixelModule, Voi
from medray.errors import Reason, SampleError
from medray.image_settings import DecodeSettings
from medray.pixels.cross_check import cross_check, is_constant
from medray.pixels.decode import decode_frame
from medray.pixels.value_kernels import rescale_into

Stored = Shaped[np.ndarray, "rows columns *samples"]
Values = Float32[np.ndarray, "rows columns *samples"]
Mask = Bool[np.ndarray, "rows columns"]
LARGEST = 1e20
"""Slopes and intercepts beyond it, and slopes below its inverse, are mistakes."""
PetValues = Literal["modality", "suv_bw"]
DEFAULT = DecodeSettings()


@dataclass(frozen=True)
class FrameValues:
    """One frame in modality values (Hounsfield units for CT), or in RGB levels.

    Attributes:
        values: (rows, columns), or (rows, columns, 3) for colour. float32; grey values that are the stored integers
            themselves stay those, where they have 8 or 16 bits: float32 holds each of them.
        mask: true where a pixel is real; None where all are. Padding and values that are no number are not real.
        decoder: library and function that decoded the frame.
        flags: what had to be recovered.
        voi: the windows and VOI tables that the header offers for grey values.
    """

    values: Real[np.ndarray, "rows columns *samples"]
    mask: Mask | None
    decoder: str
    flags: tuple[str, ...]
    voi: Voi = ()


def frame_values(
    instance: Instance,
    frame: int,
    decode: DecodeSettings = DEFAULT,
    *,
    checked: bool = False,
    pet: PetValues = "modality",
) -> FrameValues:
    """Decode one frame and bring it to modality values, each frame with its own rescale.

    Args:
        checked: decode it by a second decoder too. A frame of one value is always: a decoder that gives up in silence
            gives such frames.
        pet: PET values in the header's units, or as SUV by body weight.

    Raises:
        SampleError: where the frame cannot be decoded; `decoders_disagree` where two decoders read it differently;
            `bad_rescale` where its rescale gives no values; `suv_missing` where SUV is asked for and the header does
            not hold all that it takes.
    """
    found = _modality_frame(instance, frame, decode, checked)
    pixels = instance.pixels
    if pixels.voi and found.values.ndim == 2:
        found = replace(found, voi=pixels.voi[frame if len(pixels.voi) > 1 else 0])
    return with_pet_values(found, pixels, pet)


def with_pet_values(found: FrameValues, pixels: PixelModule, pet: PetValues) -> FrameValues:
    """A decoded frame in the units that are asked for: the frame itself, or a PET's with new values.

    Raises:
        SampleError: `suv_missing`, as in `frame_values`.
    """
    if pet != "suv_bw" or pixels.modality != "PT":
        return found
    return replace(found, values=_body_weight_suv(found.values.astype(np.float32, copy=False), pixels), voi=())


def _body_weight_suv(values: Values, pixels: PixelModule) -> Values:
    if pixels.suv is None or pixels.suv.factor is None:
        raise SampleError(Reason.SUV_MISSING, pixels.suv.problem if pixels.suv else "")
    with np.errstate(over="ignore"):
        suv: Values = values * np.float32(pixels.suv.factor)
    if not np.isfinite(suv).all():
        raise SampleError(Reason.SUV_MISSING, "values too large for any unit")
    return suv


def _modality_frame(instance: Instance, frame: int, decode: DecodeSettings, checked: bool) -> FrameValues:
    pixels = instance.pixels
    decoded = decode_frame(instance, frame, max_samples=decode.max_samples)
    flags: tuple[str, ...] = (*pixels.flags, *decoded.flags)
    if constant := is_constant(decoded.stored):
        flags = (*flags, "constant_image")
    if checked or (constant and decoded.decoder != "numpy"):
        flags = (*flags, *cross_check(instance, frame, decode.max_samples))
    if decoded.stored.ndim == 3:
        return FrameValues(decoded.stored.astype(np.float32), None, decoded.decoder, flags)
    mask = padding_mask(decoded.stored, pixels)
    if decoded.stored.dtype.kind == "f":
        values, finite = _finite(decoded.stored)
        flags = flags if finite is None else (*flags, "non_finite_pixels")
        return FrameValues(values, _both(finite, mask), decoded.decoder, flags)
    values, more = _modality_values(decoded.stored, pixels, frame)
    return FrameValues(values, mask, decoded.decoder, (*flags, *more))


def padding_mask(stored: Stored, pixels: PixelModule) -> Mask | None:
    """True where a stored value is not Pixel Padding Value (0028,0120) … Range Limit (0028,0121); None = everywhere.

    Of float pixel data it is Float Pixel Padding Value (0028,0122) … Range Limit (0028,0124), or the Double ones.
    """
    if pixels.padding_value is None:
        return None
    ends = [pixels.padding_value]
    if pixels.padding_range_limit is not None:
        ends.append(pixels.padding_range_limit)
    low, high = (edge(_as_stored(end, pixels) for end in ends) for edge in (min, max))
    mask: Mask = (stored != low) if low == high else (stored < low) | (stored > high)
    return None if mask.all() else mask


def _as_stored(value: int | float, pixels: PixelModule) -> int | float:
    """The padding value in the sign of the pixels: headers often write -2000 as 63536."""
    if pixels.float_bits is not None:
        return value
    span = 1 << pixels.bits_allocated
    if pixels.pixel_representation == 1:
        return value - span if value >= span // 2 else value
    return value + span if value < 0 else value


def _finite(stored: Stored) -> tuple[Values, Mask | None]:
    """Float Pixel Data as float32; what is no number becomes 0 and is masked."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored.astype(np.float32)
    mask = np.isfinite(values)
    if mask.all():
        return values, None
    values[~mask] = 0
    return values, mask


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    return other if one is None else one if other is None else one & other


def _modality_values(stored: Stored, pixels: PixelModule, frame: int) -> tuple[Stored, tuple[str, ...]]:
    if pixels.modality_lut is not None:
        flags = ("rescale_ignored_for_modality_lut",) if pixels.rescale else ()
        return apply_modality_lut(stored, pixels.modality_lut), flags
    if not pixels.rescale:
        flags = ("ct_without_rescale",) if pixels.modality == "CT" else ()
        return _exact(stored), flags
    if len(pixels.rescale) not in (1, pixels.frames):
        raise SampleError(Reason.BAD_RESCALE, f"{len(pixels.rescale)} rescales for {pixels.frames} frames")
    slope, intercept = pixels.rescale[frame if len(pixels.rescale) > 1 else 0]
    return _exact(stored) if (slope, intercept) == (1, 0) else apply_rescale(stored, slope, intercept), ()


def _exact(stored: Stored) -> Stored:
    """Stored values as they are where float32 holds each of them, else rounded to it."""
    return stored if stored.dtype.itemsize <= 2 else stored.astype(np.float32)


def apply_rescale(stored: Stored, slope: float, intercept: float) -> Values:
    """stored x slope + intercept, the float64 result rounded once to float32.

    Raises:
        SampleError: `bad_rescale` for a slope of 0, a slope or intercept that is no number, or one with which float32
            could not be normalised any more.
    """
    if not (1 / LARGEST < abs(slope) < LARGEST and abs(intercept) < LARGEST):
        detail = f"Rescale Slope (0028,1053) {slope:g}, Rescale Intercept (0028,1052) {intercept:g}"
        raise SampleError(Reason.BAD_RESCALE, detail)
    if (slope, intercept) == (1, 0):
        return stored.astype(np.float32)
    values = np.empty(stored.shape, np.float32)
    rescale_into(np.ascontiguousarray(stored).reshape(-1), float(slope), float(intercept), values.reshape(-1))
    return values


def apply_modality_lut(stored: Stored, table: LookupTable) -> Values:
    """Look stored values up; those outside the table get its first or last entry.

    Raises:
        SampleError: `bad_rescale` for an empty table.
    """
    if not table.entries:
        raise SampleError(Reason.BAD_RESCALE, "Modality LUT Sequence (0028,3000) without LUT Data (0028,3006)")
    return _float_entries(table).take(stored.astype(np.int64) - table.first_mapped, mode="clip")


@lru_cache(maxsize=8)
def _float_entries(table: LookupTable) -> np.ndarray:
    return np.asarray(table.entries, np.float32)
