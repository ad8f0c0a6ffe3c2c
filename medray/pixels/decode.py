"""One frame to stored values: native, RLE, JPEG, JPEG-LS, JPEG 2000, HTJ2K, JPEG XL, and PNG, JPEG, TIFF files."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from medray.archive.instance import JPEG, PNG, TIFF, Instance, PixelModule
from medray.errors import Reason, SampleError
from medray.image_settings import DecodeSettings
from medray.pixels.codecs import Codec, find_codec
from medray.pixels.codestream import Buffer, Codestream, read_codestream
from medray.pixels.colour import expand_palette, ybr_to_rgb
from medray.pixels.conform import check_size, check_whole, conform
from medray.pixels.first_decoder import REFUSALS, decode_first
from medray.pixels.native import native_frame
from medray.pixels.raster import decode_raster
from medray.pixels.second_decoder import decode_second

BITS_ALLOCATED = (1, 8, 16, 32, 64)

Array = Shaped[np.ndarray, "rows columns *samples"]


@dataclass(frozen=True)
class Decoded:
    """A frame's stored values.

    Attributes:
        stored: (rows, columns) in the header's sign, Bits Allocated wide, unused bits cleared; or RGB
            (rows, columns, 3). May be read-only.
        decoder: library and function, or `pydicom.PLUGIN` where the second decoder read the frame.
        flags: what had to be recovered, masked, clipped or overruled.
    """

    stored: Array
    decoder: str
    flags: tuple[str, ...]


def decode_frame(
    instance: Instance, frame: int, *, colour: bool = True, max_samples: int = DecodeSettings.max_samples
) -> Decoded:
    """Decode one frame.

    Args:
        frame: from 0; the page of a TIFF.
        colour: YBR and palette colour become RGB; False = as stored (of JPEG 2000 its own transform is undone).
        max_samples: rows x columns x samples a frame may have.

    Raises:
        SampleError: for whatever keeps this frame from being read.
    """
    pixels = instance.pixels
    is_file = pixels.transfer_syntax_uid in (PNG, JPEG, TIFF)
    position = 0 if is_file else frame
    encoded = instance.encoded_frames[position] if 0 <= position < len(instance.encoded_frames) else None
    if encoded is None:
        raise SampleError(Reason.FRAME_MISSING, f"frame {frame} of {pixels.frames}")
    _check_header(pixels, max_samples)
    if is_file:
        stored, decoder, flags = decode_raster(encoded, pixels, frame, max_samples)
        return Decoded(stored, decoder, flags)
    return _decode_dicom(encoded, pixels, colour=colour)


def decode_again(instance: Instance, frame: int) -> Decoded:
    """Decode one frame of a DICOM image by its second decoder, without colour conversion.

    Raises:
        SampleError: `decode_failed` or `decoder_crashed` where no second decoder reads it.
    """
    pixels, encoded = instance.pixels, instance.encoded_frames[frame]
    if encoded is None:
        raise SampleError(Reason.FRAME_MISSING, f"frame {frame} of {pixels.frames}")
    codec = find_codec(pixels.transfer_syntax_uid)
    array, plugin = decode_second(encoded, pixels, codec)
    array, guards = conform(array, pixels, codec, read_codestream(encoded, codec.kind))
    return Decoded(array, plugin, guards)


def _check_header(pixels: PixelModule, max_samples: int) -> None:
    samples = pixels.rows * pixels.columns * pixels.samples_per_pixel
    if pixels.rows < 1 or pixels.columns < 1:
        raise SampleError(Reason.PIXELS_MISSING, f"{pixels.rows} rows, {pixels.columns} columns")
    if samples > max_samples:
        raise SampleError(Reason.IMAGE_TOO_LARGE, f"{samples} samples a frame, the limit is {max_samples}")
    if not 1 <= pixels.bits_stored <= max(pixels.bits_allocated, 1):
        detail = f"Bits Stored (0028,0101) {pixels.bits_stored} of Bits Allocated (0028,0100) {pixels.bits_allocated}"
        raise SampleError(Reason.UNSUPPORTED_PIXELS, detail)


def _decode_dicom(encoded: Buffer, pixels: PixelModule, *, colour: bool) -> Decoded:
    codec = find_codec(pixels.transfer_syntax_uid)
    if pixels.bits_allocated not in BITS_ALLOCATED:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"Bits Allocated (0028,0100) is {pixels.bits_allocated}")
    if pixels.samples_per_pixel not in (1, 3):
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"Samples per Pixel (0028,0002) is {pixels.samples_per_pixel}")
    if codec.kind == "native":
        array, flags = native_frame(encoded, pixels, big_endian=codec.big_endian)
        array, more = conform(array, pixels, codec, None)
        return _in_colour(Decoded(array, codec.first, (*flags, *more)), pixels, ybr=_is_ybr(pixels), colour=colour)
    header = read_codestream(encoded, codec.kind)
    ybr, flags = _is_ybr(pixels), ()
    if header is not None:
        check_size(header, pixels)
        check_whole(encoded, codec)
        ybr, flags = _resolve_colour(header, pixels, codec)
    array, decoder, more, ybr = _decompress(encoded, pixels, codec, header, ybr_and_colour=(ybr, colour))
    array, guards = conform(array, pixels, codec, header)
    decoded = Decoded(array, decoder, (*flags, *more, *guards))
    return _in_colour(decoded, pixels, ybr=ybr, colour=colour)


def _decompress(
    encoded: Buffer, pixels: PixelModule, codec: Codec, header: Codestream | None, *, ybr_and_colour: tuple[bool, bool]
) -> tuple[Array, str, tuple[str, ...], bool]:
    """Samples, decoder, flags, and whether the samples still are YBR."""
    ybr, colour = ybr_and_colour
    in_codec = ybr and colour and codec.kind == "jpeg" and not (header is not None and header.bits != 8)
    try:
        return decode_first(encoded, pixels, codec, header, ybr=in_codec), codec.first, (), ybr and not in_codec
    except REFUSALS:
        array, plugin = decode_second(encoded, pixels, codec)
        return array, plugin, ("second_decoder",), ybr


def _is_ybr(pixels: PixelModule) -> bool:
    if pixels.photometric_interpretation.startswith("YBR_PARTIAL"):
        detail = f"Photometric Interpretation (0028,0004) {pixels.photometric_interpretation[:16]}"
        raise SampleError(Reason.UNSUPPORTED_PIXELS, detail)
    return pixels.samples_per_pixel == 3 and pixels.photometric_interpretation in ("YBR_FULL", "YBR_FULL_422")


def _resolve_colour(header: Codestream, pixels: PixelModule, codec: Codec) -> tuple[bool, tuple[str, ...]]:
    """Whether the samples are YBR: what the JPEG codestream says overrules the header, flagged."""
    said = _is_ybr(pixels)
    if codec.kind not in ("jpeg", "jpegls") or header.colour is None or pixels.samples_per_pixel != 3:
        return said, ()
    found = header.colour == "ybr"
    return found, (("colour_from_codestream",) if found != said else ())


def _in_colour(decoded: Decoded, pixels: PixelModule, *, ybr: bool, colour: bool) -> Decoded:
    if not colour:
        return decoded
    stored = decoded.stored
    if pixels.photometric_interpretation == "PALETTE COLOR" and pixels.samples_per_pixel == 1:
        stored = expand_palette(stored, pixels.palette)
    elif ybr:
        stored = ybr_to_rgb(stored, min(pixels.bits_stored, 8 * stored.dtype.itemsize))
    return Decoded(stored, decoded.decoder, decoded.flags)
