"""The generated archive holds what the demo and the tests promise."""

import csv
import io
import tarfile
import warnings
from collections import Counter

import numpy as np
import pydicom
import pytest
from PIL import Image

from benchmarks.phantoms import LABELS, SYNTAXES, Phantom, encode_dicom, make_phantom_archive


@pytest.fixture
def rows(phantoms):
    with open(phantoms / "labels.csv") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", range(7))
@pytest.mark.parametrize("bits", [8, 12])
def test_every_transfer_syntax_gives_the_stored_values_back(kind, bits):
    image = np.random.default_rng(kind).uniform(size=(33, 40))
    data = encode_dicom(Phantom(1, "p", "clear", kind, image, bits, inverted=True))
    ds = pydicom.dcmread(io.BytesIO(data))
    with warnings.catch_warnings(action="ignore"):
        stored = ds.pixel_array
    assert np.array_equal(stored, np.round((1 - image) * (2**bits - 1)))
    assert (ds.file_meta.TransferSyntaxUID, ds.BitsStored) == (SYNTAXES[kind], bits)


def test_labels_are_even_in_every_patient_and_name_files_that_exist(phantoms, rows):
    assert Counter(row["label"] for row in rows) == dict.fromkeys(LABELS, 24)
    assert Counter((row["patient_id"], row["label"]) for row in rows).most_common()[-1][1] == 2
    loose = [row["path"] for row in rows if row["path"].startswith("phantom-")]
    assert len(loose) > 24 and all((phantoms / path).is_file() for path in loose)


def test_dicom_in_seven_syntaxes_two_depths_and_both_polarities(phantoms):
    headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in phantoms.glob("phantom-*/IM*")]
    assert {ds.file_meta.TransferSyntaxUID for ds in headers} == set(SYNTAXES)
    assert {ds.BitsStored for ds in headers} == {8, 12}
    assert {ds.PhotometricInterpretation for ds in headers} == {"MONOCHROME1", "MONOCHROME2"}
    assert all(str(ds.PatientName).startswith("Canary^") for ds in headers)


def test_the_tar_shard_holds_8_and_16_bit_png(phantoms):
    with tarfile.open(phantoms / "shard-000.tar") as shard:
        files = [shard.extractfile(member) for member in shard.getmembers()]
        images = [np.asarray(Image.open(file)) for file in files if file]
    assert {image.dtype.itemsize for image in images} == {1, 2}


def test_broken_files_and_files_of_real_scanners_are_there(phantoms):
    assert len(list((phantoms / "broken").iterdir())) == 8
    assert (phantoms / "pydicom" / "CT_small.dcm").exists()


def test_the_same_arguments_give_the_same_bytes(phantoms, tmp_path):
    make_phantom_archive(tmp_path / "again", images=48, patients=12)
    files = {path.relative_to(phantoms): path.read_bytes() for path in phantoms.rglob("*") if path.is_file()}
    again = {path.relative_to(tmp_path / "again"): path for path in (tmp_path / "again").rglob("*") if path.is_file()}
    assert files.keys() == again.keys()
    assert all(files[name] == path.read_bytes() for name, path in again.items())
