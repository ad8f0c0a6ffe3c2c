"""Small DICOM objects and archives for the tests of this room."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medray import storage
from medray.archive.objects import index_object
from medray.settings import IndexSettings

KEY = b"0123456789abcdef0123456789abcdef"
SHIPPED = Path(pydicom.__file__).parent / "data" / "test_files"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"


def dicom_dataset(pixels: np.ndarray | None = None, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> FileDataset:
    """A CT instance around `pixels` (rows, columns) or (frames, rows, columns); `tags` override."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = CT_CLASS, "1.2.3.4", syntax
    dataset = FileDataset(
        None,
        {},
        file_meta=meta,
        preamble=b"\0" * 128,
        is_implicit_VR=syntax == ImplicitVRLittleEndian,
        is_little_endian=syntax != ExplicitVRBigEndian,
    )
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CT_CLASS, "1.2.3.4", "CT"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    dataset.PatientID, dataset.PatientName = "CANARY-1", "Canary^Name"
    if pixels is not None:
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        if pixels.ndim == 3:
            dataset.NumberOfFrames = pixels.shape[0]
        bits = 8 * pixels.itemsize
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
        dataset.PixelData = raw + b"\0" * (len(raw) % 2)
        dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def dicom_bytes(pixels: np.ndarray | None = None, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> bytes:
    """The same as a file's bytes."""
    return saved(dicom_dataset(pixels, syntax, **tags))


def saved(dataset: FileDataset) -> bytes:
    """A data set as a file's bytes."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def shipped(name: str) -> bytes:
    """One of the test files that come with pydicom."""
    return (SHIPPED / name).read_bytes()


def image(rows: int = 4, columns: int = 6, dtype: str = "uint16") -> np.ndarray:
    """A ramp."""
    return np.arange(rows * columns, dtype=dtype).reshape(rows, columns)


def tar_bytes(members: dict[str, bytes], format: int = tarfile.GNU_FORMAT) -> bytes:
    """A tar of these members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as shard:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            shard.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def index_folder(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Index rows of every object in a folder, names plain."""
    chosen = IndexSettings(archive=str(folder), out="unused", **({"paths": "plain"} | settings))
    return [row for stored in storage.list_objects(str(folder)) for row in index_object(stored, KEY, chosen)]


def index_bytes(folder: Path, data: bytes, **settings: Any) -> list[dict[str, Any]]:
    """Index rows of one object with these bytes."""
    (folder / "object").write_bytes(data)
    return index_folder(folder, **settings)
