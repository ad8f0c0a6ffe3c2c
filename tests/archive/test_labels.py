import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medray.archive.identity import keyed_hash
from medray.archive.labels import join_labels, key_form, read_labels
from medray.archive.objects import rows_to_table
from medray.errors import LabelError
from medray.label_settings import LabelSettings
from tests.archive.makers import KEY, dicom_bytes, image, index_folder, tar_bytes
from tests.archive.test_images import encoded


@pytest.fixture
def archive(tmp_path):
    folder = tmp_path / "archive"
    for n in range(4):
        path = folder / ("sick" if n % 2 else "well") / f"{n}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom_bytes(image(), PatientID=f"CANARY-{n}", SOPInstanceUID=f"1.2.{n}"))
    (folder / "shard.tar").write_bytes(
        tar_bytes({"sick/5.png": encoded("L", "PNG"), "well/6.png": encoded("L", "PNG")})
    )
    return folder


def joined(archive, text: str, **settings) -> pa.Table:
    file = archive.parent / "labels.csv"
    file.write_text(text)
    index = rows_to_table(index_folder(archive, paths="sealed"))
    return join_labels(index, LabelSettings(file=str(file), **settings), KEY, str(archive))


def by_path(table: pa.Table, column: str = "label") -> dict[str, str | None]:
    names = [f"{'sick' if n % 2 else 'well'}/{n}.dcm" for n in range(4)] + [f"shard.tar/{name}" for name in MEMBERS]
    found = dict(zip(table["object_id"].to_pylist(), table[column].to_pylist(), strict=True))
    return {name: found[keyed_hash(KEY, name)] for name in names}


MEMBERS = ("sick/5.png", "well/6.png")


def test_labels_join_by_path_also_inside_shards(archive):
    text = "path,label,split\nwell/0.dcm,a,train\n./sick/1.dcm,b,test\nshard.tar/sick/5.png,b,\n"
    table = joined(archive, text)
    assert list(by_path(table).values()) == ["a", "b", None, None, "b", None]
    assert list(by_path(table, "split").values()) == ["train", "test", None, None, None, None]
    assert json.loads(table.schema.metadata[b"medray.labels"]) == {"labels": 3, "matched": 3, "images": 3}


def test_absolute_paths_are_taken_relative_to_the_archive(archive):
    assert by_path(joined(archive, f"path,label\n{archive}/sick/3.dcm,x\n"))["sick/3.dcm"] == "x"


def test_labels_join_by_sop_instance_uid(archive):
    table = joined(archive, "sop_instance_uid,label\n1.2.2,two\n1.2.9,nine\n")
    assert by_path(table)["well/2.dcm"] == "two"
    assert json.loads(table.schema.metadata[b"medray.labels"]) == {"labels": 2, "matched": 1, "images": 1}


def test_labels_join_by_patient(archive):
    table = joined(archive, "patient_id,label\nCANARY-1,one\n")
    assert by_path(table)["sick/1.dcm"] == "one"


def test_the_patient_of_the_labels_goes_before_that_of_the_header(archive):
    table = joined(archive, "path,label,patient_id\nwell/0.dcm,a,P1\nshard.tar/well/6.png,a,P1\nwell/2.dcm,a,\n")
    found = by_path(table, "patient_key")
    assert found["well/0.dcm"] == found["shard.tar/well/6.png"] == keyed_hash(KEY, "P1")
    assert found["well/2.dcm"] == keyed_hash(KEY, "CANARY-2")


def test_where_leaves_images_without_a_label(archive):
    table = joined(archive, "path,label\nwell/0.dcm,a\nshard.tar/sick/5.png,b\n", where={"modality": "CT"})
    assert [label for label in by_path(table).values() if label] == ["a"]
    with pytest.raises(LabelError, match="modality is MR"):
        joined(archive, "path,label\nwell/0.dcm,a\n", where={"modality": "MR"})


def test_nothing_matching_says_both_sides_and_no_key(archive):
    with pytest.raises(LabelError) as caught:
        joined(archive, "path,label\nCANARY/smith-0001.png,a\n")
    message = str(caught.value)
    assert "None of the 1 labels matches one of the 7 objects" in message
    assert "x/x-0.x" in message and "CANARY" not in message and "smith" not in message


def test_one_image_with_two_labels_is_refused(archive):
    with pytest.raises(LabelError, match="1 images or patients have two different labels"):
        joined(archive, "path,label\nwell/0.dcm,a\nwell/0.dcm,b\n")
    table = joined(archive, "path,label\nwell/0.dcm,a\nwell/0.dcm,a\n")
    assert by_path(table)["well/0.dcm"] == "a"


def test_a_missing_column_is_named_with_those_there_are(archive):
    with pytest.raises(LabelError, match="no column 'label'; they have path, class"):
        joined(archive, "path,class\na,b\n")
    with pytest.raises(LabelError, match="none of the columns"):
        joined(archive, "file,label\na,b\n")


@pytest.mark.parametrize(
    "text", ["path;label\nwell/0.dcm;a\n", "\ufeffpath,label\r\nwell/0.dcm , a\r\n", "path\tlabel\nwell/0.dcm\ta"]
)
def test_semicolons_tabs_and_byte_order_marks_are_read(archive, text):
    assert by_path(joined(archive, text))["well/0.dcm"] == "a"


def test_numbers_stay_text_and_parquet_reads_the_same(tmp_path):
    (tmp_path / "l.csv").write_text("path,label,patient_id\na,1,007\n,,\n")
    table = read_labels(str(tmp_path / "l.csv"), LabelSettings())
    assert table.to_pydict() == {"path": ["a", None], "label": ["1", None], "patient_id": ["007", None]}
    pq.write_table(pa.table({"path": ["a"], "label": pa.array([1])}), tmp_path / "l.parquet")
    assert read_labels(str(tmp_path / "l.parquet"), LabelSettings())["label"].to_pylist() == ["1"]


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "l.csv").write_bytes(b"PAR1 but no parquet")
    with pytest.raises(LabelError, match="no CSV or Parquet"):
        read_labels(str(tmp_path / "l.csv"), LabelSettings())


def test_folders_are_classes_where_there_is_no_file(archive):
    table = join_labels(rows_to_table(index_folder(archive, paths="sealed")), LabelSettings(), KEY, str(archive))
    assert list(by_path(table).values()) == ["well", "sick", "well", "sick", "sick", "well"]


def test_folders_of_sides_are_the_split(tmp_path):
    for side in ("train", "valid", "test"):
        for label in ("a", "b"):
            (tmp_path / side / label).mkdir(parents=True)
            (tmp_path / side / label / "x.png").write_bytes(encoded("L", "PNG"))
    table = join_labels(rows_to_table(index_folder(tmp_path)), LabelSettings(), KEY, str(tmp_path))
    assert sorted(zip(table["split"].to_pylist(), table["label"].to_pylist(), strict=True)) == [
        (side, label) for side in ("test", "train", "validation") for label in ("a", "b")
    ]


def test_one_folder_is_no_classes(tmp_path):
    (tmp_path / "x.png").write_bytes(encoded("L", "PNG"))
    with pytest.raises(LabelError, match="name 0 classes"):
        join_labels(rows_to_table(index_folder(tmp_path)), LabelSettings(), KEY, str(tmp_path))


def test_the_form_of_a_key_hides_its_content():
    assert key_form("Smith^John/IM-0001.dcm") == "x^x/x-0.x"
