"""A codec's samples made into the stored values that the header speaks of. Each guard answers a decoder's fault."""

import numpy as np
from jaxtyping import Integer, Shaped

from medray.archive.instance import PixelModule
from medray.errors import Reason, SampleError
from medray.pixels.codecs import Codec
from medray.pixels.codestream import Buffer, Codestream, is_whole
from medray.pixels.value_kernels import clip_above

Array = Shaped[np.ndarray, "rows columns *samples"]
Whole = Integer[np.ndarray, "rows columns *samples"]
Flagged = tuple[Array, tuple[str, ...]]
SIGNED_KINDS = ("jpeg2k", "htj2k")  # codestreams that say whether their samples are signed


def check_size(header: Codestream, pixels: PixelModule) -> None:
    """Refuse a codestream that is not the image the header describes, before memory is taken for it.

    Raises:
        SampleError: `corrupt_image`, or `unsupported_pixels` for another number of components.
    """
    if (header.rows, header.columns) != (pixels.rows, pixels.columns):
        found, said = f"{header.rows}x{header.columns}", f"{pixels.rows}x{pixels.columns}"
        raise SampleError(Reason.CORRUPT_IMAGE, f"the codestream is {found}, Rows and Columns (0028,0010) say {said}")
    if header.components is not None and header.components != pixels.samples_per_pixel:
        said = f"Samples per Pixel (0028,0002) says {pixels.samples_per_pixel}"
        raise SampleError(Reason.CORRUPT_IMAGE, f"the codestream has {header.components} components, {said}")


def check_whole(frame: Buffer, codec: Codec) -> None:
    """Refuse a JPEG or JPEG-LS that was cut.

    libjpeg fills the rest with grey and says nothing; CharLS may search for seconds before it gives up. The other
    codecs do say so.

    Raises:
        SampleError: `corrupt_image`.
    """
    if codec.kind in ("jpeg", "jpegls") and not is_whole(frame):
        detail = f"the {codec.kind} frame is cut: {len(frame)} bytes without an end-of-image marker"
        raise SampleError(Reason.CORRUPT_IMAGE, detail)


def conform(array: Array, pixels: PixelModule, codec: Codec, header: Codestream | None) -> Flagged:
    """Sign, unused bits and range of decoded samples; the result is as wide as Bits Allocated (0028,0100), or wider.

    Raises:
        SampleError: `corrupt_image` where the decoder gave another shape.
    """
    shape = (pixels.rows, pixels.columns, *([pixels.samples_per_pixel] if pixels.samples_per_pixel > 1 else []))
    if array.shape != shape:
        raise SampleError(Reason.CORRUPT_IMAGE, f"the decoder gave {array.shape}, the header says {shape}")
    if array.dtype.kind == "f" or pixels.bits_allocated == 1:
        return array, ()
    flags: tuple[str, ...] = ()
    bits = pixels.bits_stored
    if header is None:
        array, flags = _shift_high_bit(array, pixels)
    array = widen(array, pixels)
    if header is not None and header.bits is not None and _codestream_decides(array, pixels, codec, header):
        bits, flags = header.bits, ("bits_from_codestream",)
    if header is not None and codec.kind in SIGNED_KINDS and header.signed != (pixels.pixel_representation == 1):
        flags = (*flags, "sign_differs_from_codestream")
    bits = min(bits, 8 * array.dtype.itemsize)
    array, more = _signed(array, bits) if pixels.pixel_representation == 1 else _unsigned(array, bits, codec, header)
    return array, (*flags, *more)


def widen(array: Whole, pixels: PixelModule) -> Whole:
    """The same bits, signed as Pixel Representation says and at least as wide as Bits Allocated."""
    kind = "i" if pixels.pixel_representation == 1 else "u"
    itemsize = max(pixels.bits_allocated // 8, array.dtype.itemsize)
    return array.astype(f"{array.dtype.kind}{itemsize}", copy=False).view(f"{kind}{itemsize}")


def _codestream_decides(array: Whole, pixels: PixelModule, codec: Codec, header: Codestream) -> bool:
    """The codestream's precision overrules Bits Stored (0028,0101), where it makes a difference.

    JPEG has no precision between 8, 12 and (lossless) 16, so there a greater one is usual: it decides only where
    values are far beyond what overshoot explains. In a codestream without sign, two's complement of Bits Stored is
    no such difference.
    """
    signed, bits = pixels.pixel_representation == 1, header.bits or 0
    if bits < pixels.bits_stored:  # a signed sample narrower than Bits Stored needs its own sign bit
        return signed and codec.kind != "jpeg" and _outside(array, bits, signed=signed)
    if bits == pixels.bits_stored:
        return False
    if codec.kind == "jpeg":
        return codec.lossy and int(array.max(initial=0)) >= 2 << pixels.bits_stored
    return _outside(array, pixels.bits_stored, signed=signed and (header.signed or int(array.min(initial=0)) < 0))


def _outside(array: Whole, bits: int, *, signed: bool) -> bool:
    """Some value needs more than `bits` bits."""
    lowest, top = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    has_low = array.dtype.kind == "i" and int(array.min(initial=0)) < lowest
    return has_low or int(array.max(initial=0)) > top


def _shift_high_bit(array: Whole, pixels: PixelModule) -> Flagged:
    """Stored values that do not start at bit 0 (retired, PS3.5 8.1.1) are moved there."""
    shift = pixels.high_bit + 1 - pixels.bits_stored
    if shift == 0:
        return array, ()
    if shift < 0 or pixels.high_bit >= 8 * array.dtype.itemsize:
        return array, ("high_bit_ignored",)
    return array >> array.dtype.type(shift), ("high_bit_shifted",)


def _signed(array: Whole, bits: int) -> Flagged:
    """Two's complement of `bits` bits, extended over the unused high bits."""
    unused = 8 * array.dtype.itemsize - bits
    if unused == 0:
        return array, ()
    if not _outside(array, bits, signed=True):
        return array, ()
    return (array << unused) >> unused, ()


def _unsigned(array: Whole, bits: int, codec: Codec, header: Codestream | None) -> Flagged:
    """Lossy overshoot is clipped, so that white stays white; everything else above the range is unused bits."""
    top = (1 << bits) - 1
    if bits == 8 * array.dtype.itemsize:
        return array, ()
    if codec.lossy and header is not None and not header.signed:
        mine = array.flags.writeable and array.flags.c_contiguous  # a codec's samples are nobody else's
        own = array if mine else array.copy()
        return own, (("overshoot_clipped",) if clip_above(own.reshape(-1), array.dtype.type(top)) else ())
    if int(array.max(initial=0)) <= top:
        return array, ()
    return array & array.dtype.type(top), ("high_bits_masked",)
