"""Real images in every transfer syntax that imagecodecs or pydicom can write, as DICOM files in memory.

NEMA's own WG04 file is taken where it has one; else the image is encoded here and put into the header of the original.
"""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate

from medray.archive.reading import read_instance
from medray.pixels.decode import decode_frame

IMAGES = {
    "CT 512x512 int16": "CT1",
    "radiograph 1760x1760 10-bit": "RG3",
    "mammogram 4664x3064 12-bit": "MG1",
    "ultrasound 640x480 RGB": "US1",
}
"""What is measured, and NEMA's name of it. The mammogram comes as JPEG 2000 only, so its noise is coded already."""

SYNTAXES = {
    "native": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "RLE": "1.2.840.10008.1.2.5",
    ".50": "1.2.840.10008.1.2.4.50",
    ".51": "1.2.840.10008.1.2.4.51",
    ".70": "1.2.840.10008.1.2.4.70",
    ".80": "1.2.840.10008.1.2.4.80",
    ".90": "1.2.840.10008.1.2.4.90",
    ".91": "1.2.840.10008.1.2.4.91",
    ".201": "1.2.840.10008.1.2.4.201",
}
FOLDERS = {"native": "REF", "RLE": "RLE", ".51": "JPLY", ".70": "JPLL", ".80": "JLSL", ".90": "J2KR", ".91": "J2KI"}


def syntaxes_of(image: str) -> list[str]:
    """8-bit JPEG for colour; 12-bit JPEG for what is unsigned and has no more bits."""
    grey_12_bit = "-bit" in image
    left_out = {".50"} if not image.endswith("RGB") else set()
    return [name for name in SYNTAXES if name not in left_out | (set() if grey_12_bit else {".51"})]


def dicom_file(wg04: Path, image: str, syntax: str) -> bytes:
    """The image as a DICOM file in this transfer syntax."""
    name = IMAGES[image]
    files = sorted((wg04 / FOLDERS[syntax]).glob(f"{name}_*")) if syntax in FOLDERS else []
    if files:
        return files[0].read_bytes()
    originals = sorted((wg04 / "REF").glob(f"{name}_*")) or sorted((wg04 / "J2KI").glob(f"{name}_*"))
    dataset = pydicom.dcmread(originals[0])
    stored = decode_frame(read_instance(originals[0].read_bytes(), "dicom"), 0).stored
    return _written(dataset, np.ascontiguousarray(stored), syntax)


def _written(dataset: Any, stored: np.ndarray, syntax: str) -> bytes:
    dataset.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    if syntax == "RLE":
        dataset.file_meta.TransferSyntaxUID = SYNTAXES["native"]
        dataset.compress(SYNTAXES["RLE"], encoding_plugin="pylibjpeg", generate_instance_uid=False)
    elif syntax not in ("native", "deflated"):
        dataset.PixelData = encapsulate([bytes(_frame(stored, syntax, dataset.BitsStored))])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        if syntax == ".50":
            dataset.PhotometricInterpretation = "YBR_FULL_422"
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=False, little_endian=True)
    return buffer.getvalue()


def _frame(stored: np.ndarray, syntax: str, bits: int) -> bytes | bytearray:
    """JPEG and JPEG-LS know no sign: two's complement goes in as it lies."""
    unsigned = stored.view(f"u{stored.itemsize}")
    frame: bytes | bytearray
    if syntax == ".50":
        frame = imagecodecs.jpeg8_encode(stored, level=90, outcolorspace="YCBCR", subsampling="422")
    elif syntax == ".51":
        frame = imagecodecs.jpeg8_encode(unsigned, level=90, bitspersample=12)
    elif syntax == ".70":
        frame = imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=1, bitspersample=bits)
    elif syntax == ".80":
        frame = imagecodecs.jpegls_encode(unsigned)
    elif syntax == ".201":
        frame = imagecodecs.htj2k_encode(stored)
    else:
        lossless = syntax == ".90"
        frame = imagecodecs.jpeg2k_encode(
            stored, level=0 if lossless else 40, reversible=lossless, codecformat="J2K", bitspersample=bits, mct=False
        )
    return frame


def bare_codec(frame: Any, syntax: str, stored: np.ndarray) -> np.ndarray:
    """What imagecodecs alone needs for the frame's samples: the least that any reader on it can need."""
    samples: np.ndarray
    if syntax == "native":
        samples = np.frombuffer(frame, stored.dtype).copy()
    elif syntax == "deflated":
        samples = np.frombuffer(imagecodecs.deflate_decode(frame, raw=True, out=stored.nbytes), stored.dtype)
    elif syntax == "RLE":
        samples = np.frombuffer(imagecodecs.dicomrle_decode(frame, stored.dtype, out=stored.nbytes), stored.dtype)
    elif syntax in (".90", ".91"):
        samples = imagecodecs.jpeg2k_decode(frame, numthreads=1)
    elif syntax == ".201":
        samples = imagecodecs.htj2k_decode(frame)
    elif syntax == ".80":
        samples = imagecodecs.jpegls_decode(frame)
    elif syntax == ".50":
        samples = imagecodecs.jpeg8_decode(frame, colorspace="YCBCR", outcolorspace="RGB")
    else:
        samples = imagecodecs.jpeg8_decode(frame)
    return samples
