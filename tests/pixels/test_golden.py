"""Stored values against the golden hashes, which independent decoders agree on."""

import csv
import hashlib
import pathlib

import numpy as np
import pydicom.data
import pytest

from medray.archive.instance import Instance
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.codecs import find_codec
from medray.pixels.decode import decode_frame
from medray.pixels.second_decoder import decode_second

UNCLIPPED = "wg04/JPLY/RG3_JPLY"
"""8 of its values overshoot to 1024; the golden hash has them so, medray clips them to 1023 (dicom.md 1.3 F5)."""
WITHOUT_ROWS = {"pydicom:meta_missing_tsyntax.dcm", "pydicom:nested_priv_SQ.dcm"}
"""Files without Rows, Columns and Bits Allocated: there is no image to decode, medray refuses them."""


def golden_rows(data: pathlib.Path) -> list[dict[str, str]]:
    with open(data / "expected_pixels.tsv") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def locate(data: pathlib.Path, name: str) -> pathlib.Path | None:
    """The file of a golden row; pydicom's are looked for where pydicom is installed, and never fetched."""
    shipped = pathlib.Path(pydicom.data.__file__).parent / "test_files"
    if name.startswith("pydicom:"):
        return next(shipped.rglob(name.removeprefix("pydicom:")), None)
    return data / name if (data / name).exists() else None


def instance_from_file(path: pathlib.Path) -> Instance:
    return read_instance(path.read_bytes(), "dicom")


def stored_values(instance: Instance) -> np.ndarray:
    """All frames before colour conversion: that is what was hashed."""
    frames = [decode_frame(instance, frame, colour=False) for frame in range(instance.pixels.frames)]
    assert not any("second_decoder" in frame.flags for frame in frames)
    return np.ascontiguousarray(np.stack([frame.stored for frame in frames]))


@pytest.mark.filterwarnings("ignore")
def test_stored_values_equal_the_golden_hashes(medray_data: pathlib.Path) -> None:
    rows = [row for row in golden_rows(medray_data) if row["path"] not in WITHOUT_ROWS | {UNCLIPPED}]
    found = [(row, path) for row in rows if (path := locate(medray_data, row["path"])) is not None]
    print(f"{len(found)} golden files, {len(rows) - len(found)} not on disk")
    wrong = []
    for row, path in found:
        stored = stored_values(instance_from_file(path))
        if hashlib.sha256(stored.tobytes()).hexdigest() != row["sha256_of_stored_values"]:
            wrong.append(row["path"])
        assert str(stored.dtype) == row["dtype"]
        assert "x".join(map(str, stored.shape)) == row["shape"]
    assert wrong == []
    assert len(found) > 100


@pytest.mark.filterwarnings("ignore")
def test_overshoot_of_the_real_12_bit_jpeg_is_clipped(medray_data: pathlib.Path) -> None:
    decoded = decode_frame(instance_from_file(medray_data / UNCLIPPED), 0)
    assert (int(decoded.stored.max()), decoded.flags) == (1023, ("overshoot_clipped",))
    assert int((decoded.stored == 1023).sum()) >= 8


@pytest.mark.filterwarnings("ignore")
def test_second_decoders_agree_with_the_first(medray_data: pathlib.Path) -> None:
    names = ("RLE/CT1_RLE", "JPLL/CT1_JPLL", "JLSL/CT1_JLSL", "J2KR/CT1_J2KR", "JLSN/MR4_JLSN")
    for name in names:
        instance = instance_from_file(medray_data / "wg04" / name)
        codec = find_codec(instance.pixels.transfer_syntax_uid)
        second, plugin = decode_second(instance.encoded_frames[0] or b"", instance.pixels, codec)
        assert plugin.startswith("pydicom.")
        assert np.array_equal(second, decode_frame(instance, 0).stored), name


@pytest.mark.filterwarnings("ignore")
def test_colour_is_within_one_level_of_pydicom(medray_data: pathlib.Path) -> None:
    compared = 0
    for row in golden_rows(medray_data):
        path = locate(medray_data, row["path"])
        if path is None or not row["shape"].endswith("x3") or row["dtype"] != "uint8":
            continue
        dataset = pydicom.dcmread(path, force=True)
        expected = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns, 3)[0]
        ours = decode_frame(instance_from_file(path), 0).stored
        assert np.abs(ours.astype(int) - expected).max() <= 1, row["path"]
        compared += 1
    assert compared > 20


@pytest.mark.parametrize("name", sorted(WITHOUT_ROWS))
def test_a_file_without_rows_is_refused(medray_data: pathlib.Path, name: str) -> None:
    path = locate(medray_data, name)
    if path is None:
        pytest.skip(f"{name} does not come with this pydicom")
    with pytest.raises(SampleError, match="corrupt_header|pixels_missing"):
        read_instance(path.read_bytes(), "dicom")


def test_a_frame_beyond_the_last_is_missing(medray_data: pathlib.Path) -> None:
    instance = instance_from_file(medray_data / "wg04/REF/US1_UNC")
    with pytest.raises(SampleError, match="frame_missing: frame 1 of 1"):
        decode_frame(instance, 1)
