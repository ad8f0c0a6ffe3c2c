"""Which decoder reads which transfer syntax. Source: DICOM PS3.5 A and PS3.6 A (registry of UIDs)."""

import importlib.util
from dataclasses import dataclass
from typing import Literal

from medray.errors import Reason, SampleError

Kind = Literal["native", "deflated_frame", "rle", "jpeg", "jpegls", "jpeg2k", "htj2k", "jpegxl"]


@dataclass(frozen=True)
class Codec:
    """How the frames of one transfer syntax are read.

    Attributes:
        lossy: the decoder may overshoot the range of the stored bits, so values are clipped, not masked.
        first: library and function that decodes; it runs in this process and releases the GIL.
        second: pydicom decoding plugins asked in this order, in a process of their own, where the first refuses or
            where a frame is decoded twice to be sure; those that rest on another library than the first stand in front.
    """

    name: str
    kind: Kind
    first: str
    second: tuple[str, ...] = ()
    lossy: bool = False
    big_endian: bool = False


_NATIVE = _RLE = ("pydicom",)
_JPEG8, _JPEG = ("gdcm", "pillow"), ("gdcm",)
_JPEGLS = ("pyjpegls", "gdcm")
_JPEG2K = ("pylibjpeg", "gdcm")
_HTJ2K = ("pylibjpeg",)

TRANSFER_SYNTAXES: dict[str, Codec] = {
    "1.2.840.10008.1.2": Codec("Implicit VR Little Endian", "native", "numpy", _NATIVE),
    "1.2.840.10008.1.2.1": Codec("Explicit VR Little Endian", "native", "numpy", _NATIVE),
    "1.2.840.10008.1.2.1.99": Codec("Deflated Explicit VR Little Endian", "native", "numpy", _NATIVE),
    "1.2.840.10008.1.2.2": Codec("Explicit VR Big Endian", "native", "numpy", _NATIVE, big_endian=True),
    "1.2.840.10008.1.2.8.1": Codec("Deflated Image Frame", "deflated_frame", "imagecodecs.deflate"),
    "1.2.840.10008.1.2.5": Codec("RLE Lossless", "rle", "imagecodecs.dicomrle", _RLE),
    "1.2.840.10008.1.2.4.50": Codec("JPEG Baseline, 8 bits", "jpeg", "imagecodecs.jpeg8", _JPEG8, lossy=True),
    "1.2.840.10008.1.2.4.51": Codec("JPEG Extended, 12 bits", "jpeg", "imagecodecs.jpeg8", _JPEG8, lossy=True),
    "1.2.840.10008.1.2.4.53": Codec("JPEG Spectral Selection", "jpeg", "imagecodecs.jpeg8", lossy=True),
    "1.2.840.10008.1.2.4.55": Codec("JPEG Full Progression", "jpeg", "imagecodecs.jpeg8", lossy=True),
    "1.2.840.10008.1.2.4.57": Codec("JPEG Lossless, Process 14", "jpeg", "imagecodecs.jpeg8", _JPEG),
    "1.2.840.10008.1.2.4.70": Codec("JPEG Lossless, First-Order", "jpeg", "imagecodecs.jpeg8", _JPEG),
    "1.2.840.10008.1.2.4.80": Codec("JPEG-LS Lossless", "jpegls", "imagecodecs.jpegls", _JPEGLS),
    "1.2.840.10008.1.2.4.81": Codec("JPEG-LS Near-lossless", "jpegls", "imagecodecs.jpegls", _JPEGLS, lossy=True),
    "1.2.840.10008.1.2.4.90": Codec("JPEG 2000 Lossless", "jpeg2k", "imagecodecs.jpeg2k", _JPEG2K),
    "1.2.840.10008.1.2.4.91": Codec("JPEG 2000", "jpeg2k", "imagecodecs.jpeg2k", _JPEG2K, lossy=True),
    "1.2.840.10008.1.2.4.201": Codec("HTJ2K Lossless", "htj2k", "imagecodecs.htj2k", _HTJ2K),
    "1.2.840.10008.1.2.4.202": Codec("HTJ2K Lossless RPCL", "htj2k", "imagecodecs.htj2k", _HTJ2K),
    "1.2.840.10008.1.2.4.203": Codec("HTJ2K", "jpeg2k", "imagecodecs.jpeg2k", _HTJ2K, lossy=True),
    "1.2.840.10008.1.2.4.110": Codec("JPEG XL Lossless", "jpegxl", "imagecodecs.jpegxl"),
    "1.2.840.10008.1.2.4.111": Codec("JPEG XL JPEG Recompression", "jpegxl", "imagecodecs.jpegxl", lossy=True),
    "1.2.840.10008.1.2.4.112": Codec("JPEG XL", "jpegxl", "imagecodecs.jpegxl", lossy=True),
}
"""Transfer syntax UID to codec. HTJ2K that may be lossy is read by OpenJPEG, because OpenJPH does not clamp."""

_MODULES = {"pylibjpeg": "pylibjpeg", "pydicom": "pydicom", "pillow": "PIL", "gdcm": "gdcm", "pyjpegls": "jpeg_ls"}


def find_codec(transfer_syntax_uid: str) -> Codec:
    """The codec of a transfer syntax.

    Raises:
        SampleError: `unsupported_transfer_syntax`, with the UID and the cure.
    """
    codec = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    if codec is None:
        cure = "convert to a syntax that `medray doctor` lists, for example with dcmconv or gdcmconv"
        name = transfer_syntax_uid or "absent"
        raise SampleError(Reason.UNSUPPORTED_TRANSFER_SYNTAX, f"transfer syntax {name[:64]}; {cure}")
    return codec


def decoder_matrix() -> list[dict[str, str | bool]]:
    """One row a transfer syntax for `medray doctor`: uid, name, first, second, and whether the first runs here."""
    return [
        {
            "uid": uid,
            "name": codec.name,
            "first": codec.first,
            "second": ", ".join(name for name in codec.second if _importable(_MODULES[name])),
            "importable": _decodes_here(codec.first),
        }
        for uid, codec in TRANSFER_SYNTAXES.items()
    ]


def _importable(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _decodes_here(first: str) -> bool:
    library, _, function = first.partition(".")
    if not function:
        return _importable(library)
    if not _importable(library):
        return False
    return bool(getattr(importlib.import_module(library), function.upper()).available)
