from medray.archive.duplicates import flag_shared_uids, shared_uids
from medray.archive.objects import rows_to_table
from tests.archive.makers import dicom_bytes, image, index_folder


def flags(folder) -> list[list[str]]:
    return flagged(rows_to_table(index_folder(folder)))["flags"].to_pylist()


def flagged(table):
    return flag_shared_uids(table, shared_uids(lambda columns: [table.select(columns)]))


def test_one_uid_on_different_images_is_a_conflict_and_both_rows_stay(tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(image()))
    (tmp_path / "b.dcm").write_bytes(dicom_bytes(image(8, 8)))
    (tmp_path / "c.dcm").write_bytes(dicom_bytes(image(), SOPInstanceUID="1.9"))
    assert flags(tmp_path) == [["uid_conflict"], ["uid_conflict"], []]


def test_copies_are_flagged_as_such(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(dicom_bytes(image()))
    assert flags(tmp_path) == [["uid_copy"], ["uid_copy"]]


def test_an_index_without_shared_uids_is_unchanged(tmp_path):
    (tmp_path / "a").write_bytes(dicom_bytes(image()))
    (tmp_path / "b").write_bytes(b"text")
    table = rows_to_table(index_folder(tmp_path))
    assert flagged(table).equals(table)


def test_flags_of_an_earlier_run_are_replaced(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(dicom_bytes(image()))
    once = flagged(rows_to_table(index_folder(tmp_path)))
    assert flagged(once).equals(once)
    assert flagged(once.slice(0, 1))["flags"].to_pylist() == [[]]
