import io
import pathlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medray.archive.instance import Instance, PixelModule
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.decode import decode_frame
from medray.pixels.values import frame_values
from tests.archive.makers import dicom_bytes, image
from tests.pixels.instances import ENCODERS, EXPLICIT, described, stored_instance


@pytest.mark.parametrize("syntax", ENCODERS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_syntaxes_give_back_what_was_stored(syntax: str, dtype: type) -> None:
    array: np.ndarray = np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (37, 23)).astype(dtype)
    decoded = decode_frame(stored_instance(array, syntax), 0)
    assert np.array_equal(decoded.stored, array)
    assert decoded.stored.dtype == dtype
    assert decoded.flags == ()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_bare_data_set_gives_its_pixels_and_says_what_was_guessed(syntax: str) -> None:
    data = dicom_bytes(image(dtype="uint16"), syntax)
    length = pydicom.dcmread(io.BytesIO(data)).file_meta.FileMetaInformationGroupLength
    decoded = frame_values(read_instance(data[132 + 12 + length :], "dicom"), 0)
    assert decoded.values.tolist() == image().tolist()
    assert decoded.flags == ("missing_preamble", "transfer_syntax_guessed", "ct_without_rescale")


def test_frames_are_read_one_by_one_and_a_missing_one_costs_only_itself() -> None:
    first, last = (np.full((2, 2), value, np.uint8) for value in (3, 9))
    instance = Instance(PixelModule(EXPLICIT, 2, 2, frames=3), (first.tobytes(), None, memoryview(last.tobytes())))
    assert decode_frame(instance, 2).stored.tolist() == [[9, 9], [9, 9]]
    with pytest.raises(SampleError, match="frame_missing: frame 1 of 3"):
        decode_frame(instance, 1)


@pytest.mark.filterwarnings("ignore")
def test_all_real_12_bit_jpegs_that_pydicom_refuses_are_read(medray_data: pathlib.Path) -> None:
    files = sorted((medray_data / "wg04" / "JPLY").iterdir())
    decoders = {decode_frame(read_instance(path.read_bytes(), "dicom"), 0).decoder for path in files}
    assert len(files) >= 4
    assert decoders == {"imagecodecs.jpeg8"}


def test_real_lossless_files_equal_the_uncompressed_reference(medray_data: pathlib.Path) -> None:
    compared = 0
    for folder in ("RLE", "JPLL", "JLSL", "J2KR"):
        for path in sorted((medray_data / "wg04" / folder).iterdir()):
            reference = medray_data / "wg04" / "REF" / f"{path.name.split('_')[0]}_UNC"
            if not reference.exists():
                continue
            stored, expected = (
                decode_frame(read_instance(p.read_bytes(), "dicom"), 0).stored for p in (path, reference)
            )
            assert np.array_equal(stored, expected), path.name
            compared += 1
    assert compared >= 8


def test_more_stored_than_allocated_bits_are_refused() -> None:
    array = np.zeros((2, 2), np.uint8)
    instance = stored_instance(array, **(described(array) | {"bits_stored": 12}))
    with pytest.raises(SampleError, match=r"Bits Stored \(0028,0101\) 12 of Bits Allocated \(0028,0100\) 8"):
        decode_frame(instance, 0)
