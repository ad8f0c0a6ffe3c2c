"""Elements whose value breaks its representation: they cost themselves, with a flag, and never the file."""

import pytest

from medray.archive.headers import read_header
from medray.archive.reading import read_instance
from medray.archive.rows import INDEX_TAGS, dicom_fields
from medray.pixels.values import frame_values
from tests.archive.makers import KEY, dicom_bytes, dicom_dataset, image, saved


def test_one_bad_element_never_loses_the_file():
    good = {"InstanceNumber": 17, "AcquisitionTime": "101112", "SliceThickness": "1.25", "PatientAge": "041Y"}
    data = dicom_bytes(image(), **good)
    for raw, bad in ((b"17", b"1A"), (b"101112", b"noon  "), (b"1.25", b"1,25"), (b"041Y", b"old ")):
        assert data.count(raw) == 1
        data = data.replace(raw, bad)
    header = read_header(data, whole=True, wanted=INDEX_TAGS)
    row = dicom_fields(header, KEY)
    assert [row[name] for name in ("instance_number", "acquisition_time_s", "slice_thickness_mm")] == [None] * 3
    bad = ("InstanceNumber", "AcquisitionTime", "SliceThickness", "PatientAge")
    assert set(row["flags"]) == {f"bad_value:{name}" for name in bad}
    assert frame_values(read_instance(data, "dicom"), 0).values.tolist() == image().tolist()


@pytest.mark.parametrize(("vr", "value"), [("UL", 4), ("SS", 4), ("SL", 4)])
def test_rows_of_another_value_representation_are_read(vr, value):
    dataset = dicom_dataset(image())
    del dataset.Rows
    dataset.add_new(0x00280010, vr, value)
    assert read_instance(saved(dataset), "dicom").pixels.rows == 4


def test_a_number_of_frames_that_is_none_is_one_and_flagged():
    for raw, frames in ((b"x ", 1), (b"-2", 1), (b"0 ", 1)):
        data = dicom_bytes(image()[None], NumberOfFrames=77).replace(b"77", raw)
        found = read_instance(data, "dicom")
        assert (found.pixels.frames, found.pixels.flags) == (frames, ("bad_value:NumberOfFrames",))
