"""Faults of encodings, of files and of multi-frame objects, with what their pixels are."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from pydicom.dataset import FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from benchmarks.faults import COLUMNS, ROWS, STEP_MM, Case, set_class, slice_dataset, stored
from tests.archive.makers import saved
from tests.pixels.segmentations import item, segmentation_bytes

PIXEL_DATA = 0x7FE00010
FRAMES, SLOPES = 6, (1, 2, 0.5, 1, 3, 2)
PLAIN: dict[str, Any] = {"RescaleSlope": None, "RescaleIntercept": None}


def pixel_cases(data: Path | None) -> list[Case]:
    """One file each. `data` is the folder of real images; None leaves NEMA's out."""
    return [*encoding_cases(), *file_cases(), *frame_cases(), *(nema_cases(data / "wg04") if data else [])]


def _case(what: str, number: str, dataset: FileDataset | bytes, values: Any, **more: Any) -> Case:
    file = dataset if isinstance(dataset, bytes) else saved(dataset)
    array = None if values is None else np.asarray(values, np.float64)
    kind = more.pop("kind", "image")
    return Case(what, number, kind, (file,), array if kind == "frames" or array is None else array[None], **more)


def _encoded(pixels: np.ndarray, syntax: str, frames: list[Any], **tags: Any) -> FileDataset:
    """A slice around encoded frames."""
    dataset = slice_dataset(0, pixels, **tags)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([bytes(frame) for frame in frames])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return dataset


def _in_colour(pixels: np.ndarray, photometric: str = "RGB") -> FileDataset:
    """(rows, columns, 3)."""
    dataset = slice_dataset(0, pixels[..., 0], Modality="OT", **PLAIN)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation, dataset.PixelData = photometric, pixels.tobytes()
    return dataset


def encoding_cases() -> list[Case]:
    """What decoders misread."""
    noise = np.random.default_rng(5).integers(0, 2**16, (ROWS, COLUMNS), np.uint16)
    white = np.zeros((64, 64), np.uint8)
    white[8:40, 20:50] = 255
    wide = np.stack([stored(index, 60000) for index in range(3)], axis=-1)
    rle = _in_colour(wide)
    rle.compress(RLELossless, generate_instance_uid=False)
    lossless = imagecodecs.jpeg8_encode(noise, lossless=True, predictor=1)
    lossy = imagecodecs.htj2k_encode(white, level=0.05, reversible=False)
    big = stored().astype(np.uint32) * 70000
    pairs, rgb = _pairs()
    return [
        *_signed_cases(),
        _case("lossless JPEG whose differences wrap", "F2", _encoded(noise, JPEGLosslessSV1, [lossless]), noise),
        _case("lossy HTJ2K that overshoots white", "F4", _encoded(white, HTJ2K, [lossy]), white, tolerance=127),
        _case("RLE, RGB of 16 bits", "F12", rle, wide),
        _case("big endian of 32 bits", "F12", slice_dataset(0, big, ExplicitVRBigEndian), big),
        _case("YBR_FULL_422, not compressed", "2: 11", pairs, rgb, tolerance=2),
    ]


def _signed_cases() -> list[Case]:
    """13 bits of two's complement in codestreams that know no sign: the header alone has it (PS3.5 8.2.3, 8.2.4)."""
    signed = stored().astype(np.int16) - 1500
    bits = signed.view(np.uint16) & 0x1FFF
    narrow = imagecodecs.jpeg2k_encode(bits, codecformat="J2K", level=0, reversible=True, bitspersample=13)
    datasets = {
        "JPEG 2000: 13 signed bits, codestream unsigned": _encoded(signed, JPEG2000Lossless, [narrow]),
        "JPEG-LS: 13 signed bits": slice_dataset(0, signed),
        "JPEG-LS: 13 signed bits in a codestream of 16": _encoded(
            signed, JPEGLSLossless, [imagecodecs.jpegls_encode(bits)]
        ),
    }
    for dataset in datasets.values():
        dataset.BitsStored, dataset.HighBit = 13, 12
    datasets["JPEG-LS: 13 signed bits"].compress(JPEGLSLossless, generate_instance_uid=False)
    return [_case(what, "F6" if "2000" in what else "F7", dataset, signed) for what, dataset in datasets.items()]


def _pairs() -> tuple[FileDataset, np.ndarray]:
    """Y1 Y2 Cb Cr a pair of pixels, and their RGB. Source: DICOM PS3.3 C.7.6.3.1.2."""
    y = stored(0, 200).astype(np.uint8)
    cb, cr = (np.full((ROWS, COLUMNS // 2), value, np.uint8) + np.uint8(stored(1, 20)[:, ::2]) for value in (100, 140))
    lying = np.stack([y[:, ::2], y[:, 1::2], cb, cr], axis=-1)
    dataset = _in_colour(np.repeat(y[..., None], 3, axis=-1), "YBR_FULL_422")
    dataset.PixelData = lying.tobytes()
    luma, blue, red = y.astype(float), *(np.repeat(c, 2, axis=1).astype(float) - 128 for c in (cb, cr))
    rgb = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    return dataset, np.clip(rgb, 0, 255)


def file_cases() -> list[Case]:
    """What is wrong with the file around the pixels."""
    whole = saved(slice_dataset(0))
    floats = (stored() / 7 - 100).astype(np.float32)
    as_float = slice_dataset(0, **PLAIN)
    del as_float.PixelData, as_float.BitsStored, as_float.HighBit, as_float.PixelRepresentation
    as_float.BitsAllocated, as_float.FloatPixelData = 32, floats.tobytes()
    noise = np.random.default_rng(6).integers(0, 4096, (ROWS, COLUMNS), np.uint16)
    jpeg = imagecodecs.jpeg8_encode(noise, lossless=True, predictor=1, bitspersample=16)
    larger = _encoded(noise, JPEGLosslessSV1, [jpeg])
    hidden = saved(larger)
    larger.Rows, larger.Columns = 2 * ROWS, 2 * COLUMNS
    return [
        _case("no preamble, no meta group", "2: 27", _bare(), stored()),
        _case("pixel data cut in the middle", "2: 30", whole[: -ROWS * COLUMNS], None),
        _case("the last 16 bytes are cut", "2: 30", whole[:-16], None),
        _case("Rows and Columns larger than the JPEG is", "2: 37", larger, None),
        _case("compressed, but the syntax says it is not", "F14", _renamed(hidden), noise),
        _case("Float Pixel Data", "2: 25", as_float, floats),
    ]


def _bare() -> bytes:
    """The data set alone, implicit VR."""
    dataset = slice_dataset(0, stored(), ImplicitVRLittleEndian)
    whole = saved(dataset)
    return whole[whole.index(b"\x08\x00\x16\x00", 132 + 12) :]


def _renamed(data: bytes) -> bytes:
    """A meta group that says Explicit VR Little Endian, whatever follows."""
    said, plain = JPEGLosslessSV1.encode(), ExplicitVRLittleEndian.encode() + b"\0"
    start = data.index(said)
    length = len(plain).to_bytes(2, "little")
    group = (int.from_bytes(data[140:144], "little") + len(plain) - len(said) - len(said) % 2).to_bytes(4, "little")
    return data[:140] + group + data[144 : start - 2] + length + plain + data[start + len(said) + len(said) % 2 :]


def frame_cases() -> list[Case]:
    """Objects of several frames."""
    frames = np.stack([stored(index) for index in range(FRAMES)])
    short = saved(slice_dataset(0, frames))[: -ROWS * COLUMNS]
    codes = [imagecodecs.jpeg8_encode(frame, lossless=True, predictor=1) for frame in frames]
    lying = bytearray(saved(_encoded(frames, JPEGLosslessSV1, codes)))
    table = lying.index(b"\xfe\xff\x00\xe0" + (4 * FRAMES).to_bytes(4, "little")) + 8
    lying[table : table + 4 * FRAMES] = np.arange(0, 8 * FRAMES, 8, dtype=np.uint32).tobytes()
    bits = np.random.default_rng(7).random((FRAMES, 5, 7)) < 0.4
    segments = segmentation_bytes(bits, segments=[1] * FRAMES, z=[5 + STEP_MM * n for n in range(FRAMES)])
    slopes = np.array(SLOPES)[:, None, None]
    return [
        _case(
            "rescale of its own in each frame (Enhanced CT)",
            "2: 17",
            _enhanced(frames),
            frames * slopes - 1024,
            kind="frames",
        ),
        _case("the last frame is cut", "F15", short, frames, kind="frames", lost=(FRAMES - 1,)),
        _case("a Basic Offset Table that lies", "2: 31", bytes(lying), frames, kind="frames"),
        _case("1-bit SEG, frames not byte aligned", "F9", segments, bits, kind="frames"),
    ]


def _enhanced(frames: np.ndarray) -> FileDataset:
    """Enhanced CT Image Storage, its rescale in the functional groups (PS3.3 C.7.6.16.2.9)."""
    tags: dict[str, Any] = {
        "ImagePositionPatient": None,
        "ImageOrientationPatient": None,
        "PixelSpacing": None,
        "SliceThickness": None,
    }
    dataset = slice_dataset(0, frames, **PLAIN, **tags)
    set_class(dataset, "1.2.840.10008.5.1.4.1.1.2.1")
    measures = item(PixelSpacing=[2.0, 1.0], SliceThickness=STEP_MM)
    plane = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    dataset.SharedFunctionalGroupsSequence = Sequence(
        [item(PixelMeasuresSequence=Sequence([measures]), PlaneOrientationSequence=Sequence([plane]))]
    )
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [
            item(
                PlanePositionSequence=Sequence([item(ImagePositionPatient=[-10, 20, 5 + STEP_MM * index])]),
                PixelValueTransformationSequence=Sequence(
                    [item(RescaleSlope=slope, RescaleIntercept=-1024, RescaleType="HU")]
                ),
            )
            for index, slope in enumerate(SLOPES)
        ]
    )
    return dataset


def nema_cases(wg04: Path) -> list[Case]:
    """12-bit JPEG of NEMA's WG04 against the uncompressed originals beside it."""
    named = {"12-bit JPEG as NEMA wrote it (Se = 0)": ("F1", "NM1"), "12-bit JPEG over 10 stored bits": ("F5", "RG3")}
    found = []
    for what, (number, name) in named.items():
        original = (wg04 / "REF" / f"{name}_UNC").read_bytes()
        rows, columns = (int.from_bytes(_value(original, 0x280000 | element)[:2], "little") for element in (0x10, 0x11))
        pixels = np.frombuffer(_value(original, PIXEL_DATA), "<u2", rows * columns).reshape(rows, columns)
        file = (wg04 / "JPLY" / f"{name}_JPLY").read_bytes()
        found.append(_case(what, number, file, pixels, tolerance=0.2 * float(pixels.max())))
    return found


def _value(data: bytes, tag: int) -> bytes:
    """What follows the header of an element, explicit VR little endian: the first of its tag, of pixels the last."""
    name = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    return data[data.rindex(name + b"OW") + 12 :] if tag == PIXEL_DATA else data[data.index(name + b"US") + 8 :]
