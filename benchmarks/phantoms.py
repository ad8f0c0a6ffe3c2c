"""A generated chest-like archive, for the demo and the tests: many encodings, planted nodules, broken files, labels.

    python benchmarks/phantoms.py OUTPUT_DIR

    phantom-000/IM000 …  loose DICOM CR: seven transfer syntaxes, 8 and 12 bits, part of them MONOCHROME1
    shard-000.tar        PNG with 8 and 16 bits
    more.zip             PNG, deflated members
    broken/              truncated, empty, garbage, text, a header without pixels
    pydicom/             the test files that pydicom ships: real scanners' files, odd ones among them
    labels.csv           path, label, patient_id, split (empty) of every phantom image

Deterministic in its arguments. Label, encoding and patient are drawn independently; every patient has both labels.
"""

import csv
import hashlib
import io
import shutil
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom.data
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLSLossless,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)
LABELS = ("clear", "nodule")
TAR, ZIP = "shard-000.tar", "more.zip"


@dataclass(frozen=True)
class Phantom:
    """One generated image and where it belongs.

    Attributes:
        image: intensities 0 ... 1, float64 (size, size).
        kind: 0 ... 6 a DICOM of that SYNTAXES, 7 and 8 a PNG in the tar shard, 9 a PNG in the zip.
        bits: 8 or 12, of a DICOM's stored values.
        inverted: a DICOM that stores MONOCHROME1.
        lesions: bool (size, size), where a planted nodule has at least half its height; none = not known.
    """

    number: int
    patient_id: str
    label: str
    kind: int
    image: np.ndarray
    bits: int = 8
    inverted: bool = False
    lesions: np.ndarray | None = None


def make_phantom_archive(folder: Path, images: int = 240, size: int = 96, *, patients: int = 60, seed: int = 0) -> Path:
    """Lay the archive out in a new folder; the folder.

    Args:
        folder: made here; must not exist.
        images: phantom images, `images / patients` a patient.
        size: rows and columns of each.
        patients: `phantom-000` …, names `Canary^phantom-000` …
        seed: of everything drawn.

    Raises:
        FileExistsError: the folder exists.
    """
    folder.mkdir(parents=True)
    drawn = draw_phantoms(images, size, patients=patients, seed=seed)
    rows = [_place_dicom(folder, phantom) for phantom in drawn if phantom.kind < 7]
    rows += _place_tar(folder, [phantom for phantom in drawn if phantom.kind in (7, 8)])
    rows += _place_zip(folder, [phantom for phantom in drawn if phantom.kind == 9])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "patient_id", "split"), *rows])
    _place_broken(folder / "broken", seed)
    shipped = Path(pydicom.data.__file__).parent / "test_files"
    shutil.copytree(shipped, folder / "pydicom", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    return folder


def draw_phantoms(images: int, size: int, *, patients: int, seed: int = 0) -> list[Phantom]:
    """The images of an archive, of patient 0 to the last and again; arguments as in `make_phantom_archive`."""
    kinds = np.random.default_rng([seed, 1]).permutation(images) % 10
    bodies = [np.random.default_rng([seed, 2, patient]).normal(size=6) for patient in range(patients)]
    drawn = []
    for number in range(images):
        rng, patient = np.random.default_rng([seed, 3, number]), number % patients
        label = (number // patients + patient) % 2
        image, lesions = _chest(rng, bodies[patient], size, nodules=int(rng.integers(1, 4)) if label else 0)
        bits, inverted = int(rng.choice([8, 12])), bool(rng.random() < 0.3)
        name, kind = f"phantom-{patient:03d}", int(kinds[number])
        drawn.append(Phantom(number, name, LABELS[label], kind, image, bits, inverted, lesions))
    return drawn


def _ellipse(y: np.ndarray, x: np.ndarray, at: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """About 1 inside and 0 outside, with a soft edge; rows y and columns x run from -1 to 1."""
    distance = np.sqrt(((y - at[0]) / radii[0]) ** 2 + ((x - at[1]) / radii[1]) ** 2)
    return np.asarray(1 / (1 + np.exp(14 * (distance - 1))))


def _chest(rng: np.random.Generator, body: np.ndarray, size: int, *, nodules: int) -> tuple[np.ndarray, np.ndarray]:
    """One exposure of a body (six numbers, about -2 ... 2), with trunk, lungs, heart, ribs and noise; its lesions."""
    y, x = np.meshgrid(*[np.linspace(-1, 1, size)] * 2, indexing="ij")
    y, x = y + rng.normal(0, 0.04), x + rng.normal(0, 0.04)
    width, height = 0.33 + 0.02 * body[0], 0.62 + 0.03 * body[1]
    lungs = sum(_ellipse(y, x, (-0.05, side * 0.42), (height, width)) for side in (-1, 1))
    image = 0.75 * _ellipse(y, x, (0.1, 0), (1.15, 0.95)) - 0.5 * lungs
    image += 0.35 * _ellipse(y, x, (0.25, 0.15), (0.34 + 0.02 * body[2], 0.26)) + 0.12 * np.exp(-((x / 0.08) ** 2))
    ribs = np.sin((y - 0.35 * x**2) * (19 + 0.6 * body[3]) + body[4]) ** 8
    image += (0.10 + 0.01 * body[5]) * ribs * _ellipse(y, x, (0, 0), (0.95, 0.85))
    lesions = np.zeros(image.shape, bool)
    for _ in range(nodules):
        nodule = _nodule(rng, y, x, height, width)
        image += nodule
        lesions |= nodule >= nodule.max() / 2
    image = image * rng.uniform(0.65, 0.85) + rng.normal(0, 0.03)
    return np.clip(image + rng.normal(0, 0.025, image.shape) + 0.1, 0, 1), lesions


def _nodule(rng: np.random.Generator, y: np.ndarray, x: np.ndarray, height: float, width: float) -> np.ndarray:
    """A bright round spot somewhere in a lung."""
    angle, radius, side = rng.uniform(0, 2 * np.pi), 0.7 * np.sqrt(rng.uniform()), rng.choice([-1, 1])
    row, column = -0.05 + height * radius * np.sin(angle), side * 0.42 + width * radius * np.cos(angle)
    sigma = rng.uniform(0.06, 0.09)
    spot = np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * sigma**2))
    return np.asarray(rng.uniform(0.25, 0.45) * spot)


def _uid(*parts: str) -> UID:
    return UID("2.25." + str(int.from_bytes(hashlib.sha256("/".join(parts).encode()).digest()[:15], "big")))


Label = tuple[str, str, str, str]


def _place_dicom(folder: Path, phantom: Phantom) -> Label:
    path = folder / phantom.patient_id / f"IM{phantom.number:03d}{'.dcm' if phantom.number % 3 else ''}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_dicom(phantom))
    return str(path.relative_to(folder)), phantom.label, phantom.patient_id, ""


def encode_dicom(phantom: Phantom) -> bytes:
    """A Part 10 file of the phantom in the transfer syntax of its kind."""
    syntax, bits, top = SYNTAXES[phantom.kind], phantom.bits, 2**phantom.bits - 1
    ds = _header(phantom, syntax)
    values = np.round((1 - phantom.image if phantom.inverted else phantom.image) * top)
    stored = values.astype(np.uint16 if bits > 8 else np.uint8)
    ds.PhotometricInterpretation = "MONOCHROME1" if phantom.inverted else "MONOCHROME2"
    ds.SamplesPerPixel, ds.PixelRepresentation, (ds.Rows, ds.Columns) = 1, 0, stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = stored.dtype.itemsize * 8, bits, bits - 1
    ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        ds.compress(syntax, stored, generate_instance_uid=False)
    else:
        ds.PixelData = stored.tobytes()
        if syntax == JPEGLosslessSV1:
            ds.PixelData = encapsulate([bytes(imagecodecs.ljpeg_encode(stored, bitspersample=bits))])
            ds["PixelData"].is_undefined_length = True
        ds["PixelData"].VR = "OW" if bits > 8 and syntax != JPEGLosslessSV1 else "OB"
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _header(phantom: Phantom, syntax: UID) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = _uid("instance", str(phantom.number))
    meta.TransferSyntaxUID = syntax
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid("study", phantom.patient_id), _uid("series", str(phantom.number))
    ds.PatientID, ds.PatientName = phantom.patient_id, f"Canary^{phantom.patient_id}"
    ds.PatientSex, ds.PatientAge = (
        "FM"[int(ds.StudyInstanceUID[-1]) % 2],
        f"{30 + int(ds.StudyInstanceUID[-2:]) % 60:03d}Y",
    )
    ds.Modality, ds.Manufacturer, ds.BodyPartExamined = "CR", "Phantom Works", "CHEST"
    ds.StudyDate, ds.InstanceNumber, ds.ImagerPixelSpacing = "20200101", str(phantom.number), [0.4, 0.4]
    return ds


def _png(image: np.ndarray, *, bits: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.round(image * (2**bits - 1)).astype(np.uint16 if bits == 16 else np.uint8)).save(out, "PNG")
    return out.getvalue()


def _place_tar(folder: Path, phantoms: list[Phantom]) -> list[Label]:
    rows = []
    with tarfile.open(folder / TAR, "w") as shard:
        for phantom in phantoms:
            data = _png(phantom.image, bits=16 if phantom.kind == 8 else 8)
            member = tarfile.TarInfo(f"images/{phantom.number:05d}.png")
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
            rows.append((f"{TAR}/{member.name}", phantom.label, phantom.patient_id, ""))
    return rows


def _place_zip(folder: Path, phantoms: list[Phantom]) -> list[Label]:
    rows = []
    with zipfile.ZipFile(folder / ZIP, "w", zipfile.ZIP_DEFLATED) as shard:
        for phantom in phantoms:
            member = zipfile.ZipInfo(f"{phantom.number:05d}.png", date_time=(2020, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            shard.writestr(member, _png(phantom.image, bits=8))
            rows.append((f"{ZIP}/{member.filename}", phantom.label, phantom.patient_id, ""))
    return rows


def _place_broken(folder: Path, seed: int) -> None:
    phantom = Phantom(10**6, "phantom-broken", "clear", 0, np.full((64, 64), 0.5))
    whole = encode_dicom(phantom)
    header = io.BytesIO()
    _header(phantom, ExplicitVRLittleEndian).save_as(header, enforce_file_format=True)
    rng = np.random.default_rng([seed, 4])
    files = {
        "truncated.dcm": whole[:-2000],
        "header_only.dcm": header.getvalue(),
        "half_a_header.dcm": whole[:300],
        "garbage.dcm": whole[:132] + rng.bytes(5000),
        "noise": rng.bytes(3000),
        "empty.dcm": b"",
        "truncated.png": _png(phantom.image, bits=8)[:60],
        "notes.txt": b"Scanner moved to room 3.\n",
    }
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    print(make_phantom_archive(Path(sys.argv[1])))
