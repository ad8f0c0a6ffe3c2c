"""Canary names are planted in tags, paths and members; none may come out of this room."""

import logging

import numpy as np
import pytest

from medray.archive.headers import RefusedError, read_header
from medray.archive.labels import join_labels
from medray.archive.objects import rows_to_table
from medray.archive.reading import read_instance
from medray.archive.rows import INDEX_TAGS
from medray.errors import LabelError, SampleError
from medray.label_settings import LabelSettings
from tests.archive.makers import KEY, dicom_bytes, image, index_folder, tar_bytes

NAMES = {
    "PatientName": "Canary^Name",
    "PatientID": "CANARY-1",
    "PatientBirthDate": "19000101",
    "ReferringPhysicianName": "Canary^Doctor",
    "InstitutionName": "Canary Hospital",
    "StudyDescription": "canary study",
    "ImageComments": "canary comment",
    "AccessionNumber": "CANARY",
}


def test_an_index_of_whole_and_damaged_objects_shows_no_name(tmp_path, caplog, capfd):
    whole = dicom_bytes(image(), **NAMES)
    damaged = whole.replace(b"\x28\x00\x10\x00US", b"\x28\x00\x10\x00Zz")
    contents = {"Canary/whole.dcm": whole, "Canary/damaged.dcm": damaged, "Canary/cut.dcm": whole[:500]}
    (tmp_path / "Canary.tar").write_bytes(tar_bytes(contents) + b"canary")
    (tmp_path / "Canary.dcm").write_bytes(whole)
    with caplog.at_level(logging.DEBUG):
        table = rows_to_table(index_folder(tmp_path, paths="sealed"))
    shown = str(table.to_pylist()) + caplog.text + "".join(capfd.readouterr())
    assert "canary" not in shown.lower() and len(table) == 5


def test_mutated_headers_raise_and_flag_without_a_name():
    data = dicom_bytes(image(), **NAMES)
    draw = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(data)
        for place in draw.integers(132, len(data), 6):
            broken[place] = draw.integers(256)
        try:
            shown = repr(read_instance(bytes(broken), "dicom").pixels)
        except SampleError as error:
            shown = str(error) + repr(error.__cause__)
        assert "canary" not in shown.lower()
        try:
            shown = str(read_header(bytes(broken), whole=True, wanted=INDEX_TAGS).flags)
        except RefusedError as error:
            shown = str(error)
        assert "canary" not in shown.lower()


def test_labels_that_match_nothing_show_no_name(tmp_path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "Canary.dcm").write_bytes(dicom_bytes(image(), **NAMES))
    (tmp_path / "labels.csv").write_text("path,label\nCanary^Other/x.dcm,a\n")
    table = rows_to_table(index_folder(tmp_path / "archive", paths="sealed"))
    with pytest.raises(LabelError) as caught:
        join_labels(table, LabelSettings(file=str(tmp_path / "labels.csv")), KEY, str(tmp_path / "archive"))
    assert "canary" not in str(caught.value).lower()
