"""Small files that a fuzz run starts from: pydicom's own, one phantom in every format, and those of real scanners."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom.data
import tifffile
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, SecondaryCaptureImageStorage

from medray.pixels.codecs import TRANSFER_SYNTAXES

LARGEST = 64 * 2**10
REAL = ("wg04/*/*", "dcmqi/**/*", "encapsulated/deflate/*", "ibsi/dicom/STS_002/*/*/*", "dcm_qa_nih/In/*/*0004/*")
OF_A_FOLDER = 2
ROWS, COLUMNS, FRAMES = 40, 48, 3
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4."
KNOWN, META_LENGTH = f"{JPEG}50", 140
EIGHT_BITS_ONLY = (f"{JPEG}50", f"{JPEG}53", f"{JPEG}55", f"{JPEG}111")
TWELVE_BITS_ONLY = (f"{JPEG}51",)


def originals(data: Path | None = None) -> dict[str, bytes]:
    """Files by name, in a stable order. `data` is the folder of real images; None = without them."""
    shipped = Path(pydicom.data.__file__).parent / "test_files"
    found = {f"pydicom:{path.name}": path.read_bytes() for path in sorted(shipped.glob("*")) if _small(path)}
    found |= generated_dicom() | generated_files()
    if data is not None:
        found |= {str(path.relative_to(data)): path.read_bytes() for path in real_files(data)}
    return found


def _small(path: Path) -> bool:
    return path.is_file() and 0 < path.stat().st_size <= LARGEST


def real_files(data: Path) -> list[Path]:
    """The first small files of each folder."""
    small = [path for pattern in REAL for path in sorted(data.glob(pattern)) if _small(path)]
    by_folder: dict[Path, list[Path]] = {}
    for path in small:
        by_folder.setdefault(path.parent, []).append(path)
    return [path for paths in by_folder.values() for path in paths[:OF_A_FOLDER]]


def phantom(bits: int, samples: int = 1, frames: int = 1) -> np.ndarray:
    """Rings and noise: (frames, rows, columns[, samples]) of `bits` bits."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    rings = 0.5 + 0.4 * np.sin(np.hypot(y - 17, x - 29) / 3)
    noise = np.random.default_rng(bits + samples).normal(0, 0.02, (frames, ROWS, COLUMNS, samples))
    values = np.clip(rings[None, :, :, None] + noise, 0, 1) * (2**bits - 1)
    whole: np.ndarray = values.astype(np.uint8 if bits <= 8 else np.uint16)
    return whole if samples > 1 else whole[..., 0]


def generated_dicom() -> dict[str, bytes]:
    """The phantom in every transfer syntax: 8 bits, 12 bits, RGB, and some of several frames."""
    found = {}
    for uid, codec in TRANSFER_SYNTAXES.items():
        kinds = {"12": phantom(12), "8": phantom(8), "rgb": phantom(8, 3), "frames": phantom(8, 1, FRAMES)}
        if uid in TWELVE_BITS_ONLY:
            kinds = {"12": kinds["12"]}
        elif uid in EIGHT_BITS_ONLY:
            del kinds["12"]
        for kind, frames in kinds.items():
            found[f"{codec.name}, {kind}"] = dicom(frames, uid, 12 if kind == "12" else 8)
    return found | {"lookup tables": dicom(phantom(8), EXPLICIT, 8, **_tables())}


def dicom(frames: np.ndarray, uid: str, bits: int, **tags: Any) -> bytes:
    """A Part 10 file of (frames, rows, columns[, samples])."""
    dataset = _described(frames, uid, bits)
    for name, value in tags.items():
        setattr(dataset, name, value)
    if TRANSFER_SYNTAXES[uid].kind == "native":
        dataset.PixelData = frames.astype(
            frames.dtype.newbyteorder(">") if uid == BIG_ENDIAN else frames.dtype
        ).tobytes()
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    elif uid == RLE:
        dataset.file_meta.TransferSyntaxUID = UID(EXPLICIT)
        dataset.PixelData = frames.tobytes()
        dataset.compress(RLE, generate_instance_uid=False)
    else:
        dataset.PixelData = encapsulate([encoded(frame, uid, bits) for frame in frames])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    if TRANSFER_SYNTAXES[uid].kind in ("deflated_frame", "jpegxl"):  # which pydicom does not write
        dataset.file_meta.TransferSyntaxUID = UID(KNOWN)
        dataset.save_as(buffer, enforce_file_format=True)
        return _renamed(buffer.getvalue(), uid.encode() + b"\0" * (len(uid) % 2))
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _renamed(data: bytes, uid: bytes) -> bytes:
    """A file of syntax `KNOWN` with another UID in its meta group."""
    start = data.index(KNOWN.encode())
    group_length = struct.unpack_from("<L", data, META_LENGTH)[0] + len(uid) - len(KNOWN)
    head = data[:META_LENGTH] + struct.pack("<L", group_length) + data[META_LENGTH + 4 : start - 2]
    return head + struct.pack("<H", len(uid)) + uid + data[start + len(KNOWN) :]


def _described(frames: np.ndarray, uid: str, bits: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, UID("1.2.3.4")
    meta.TransferSyntaxUID = UID(uid)
    little, implicit = uid != BIG_ENDIAN, uid == IMPLICIT
    dataset = FileDataset(
        "", {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=implicit, is_little_endian=little
    )
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = "1.2.3", "1.2.3.1", "OT"
    dataset.PatientID, dataset.PatientName, dataset.NumberOfFrames = "FUZZ", "Fuzz^Phantom", len(frames)
    dataset.Rows, dataset.Columns = frames.shape[1:3]
    dataset.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * frames.itemsize, bits, bits - 1
    dataset.PixelRepresentation, dataset.PixelSpacing = 0, [0.5, 0.5]
    dataset.WindowCenter, dataset.WindowWidth = "128", "200"
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-10"
    return dataset


def _tables() -> dict[str, Any]:
    """A Modality LUT, a VOI LUT and padding."""
    table, voi = Dataset(), Dataset()
    for item in (table, voi):
        item.add_new(0x00283002, "US", [256, 0, 16])
        item.add_new(0x00283006, "OW", np.arange(0, 65536, 256, dtype=np.uint16).tobytes())
    table.ModalityLUTType = "US"
    return {"ModalityLUTSequence": Sequence([table]), "VOILUTSequence": Sequence([voi]), "PixelPaddingValue": 3}


def encoded(frame: np.ndarray, uid: str, bits: int) -> bytes:
    """One frame (rows, columns[, samples]) in an encapsulated transfer syntax."""
    kind = TRANSFER_SYNTAXES[uid].kind
    lossy = TRANSFER_SYNTAXES[uid].lossy
    if kind == "deflated_frame":
        stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return stream.compress(frame.tobytes()) + stream.flush()
    if uid in (f"{JPEG}53", f"{JPEG}55"):
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", progressive=True)
        return buffer.getvalue()
    if kind == "jpeg":
        return bytes(imagecodecs.jpeg8_encode(frame, lossless=not lossy, bitspersample=bits))
    if kind == "jpegls":
        return bytes(imagecodecs.jpegls_encode(frame, level=2 if lossy else 0))
    if kind == "jpegxl":
        return bytes(imagecodecs.jpegxl_encode(frame, lossless=not lossy))
    if kind == "htj2k" or uid == f"{JPEG}203":
        return bytes(imagecodecs.htj2k_encode(frame))
    more: dict[str, Any] = {"level": 20} if lossy else {"level": 0, "reversible": True}
    return bytes(imagecodecs.jpeg2k_encode(frame, codecformat="J2K", bitspersample=bits, **more))


def generated_files() -> dict[str, bytes]:
    """PNG, JPEG and TIFF."""
    found = {}
    for name, frame in {"8": phantom(8)[0], "16": phantom(12)[0], "rgb": phantom(8, 3)[0]}.items():
        found[f"png, {name}"] = bytes(imagecodecs.png_encode(frame))
        found[f"tiff, {name}"] = _tiff(frame, compression="zlib")
        if name != "16":
            found[f"jpeg, {name}"] = bytes(imagecodecs.jpeg8_encode(frame))
    return found | {
        "tiff, pages": _tiff(phantom(8, 1, FRAMES), photometric="minisblack"),
        "tiff, lzw": _tiff(phantom(8)[0], compression="lzw"),
    }


def _tiff(pages: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pages, **options)
    return buffer.getvalue()
