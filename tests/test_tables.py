"""Tables of many rows: claims, parts, and the manifest that is written last."""

import json

import pyarrow as pa
import pytest

from medray import storage, tables
from medray.errors import OutputError

NUMBERS = pa.schema([pa.field("n", pa.int64())])
RUN = {"job": "count", "source": "here"}


def _numbers(*values):
    return pa.table({"n": pa.array(values, pa.int64())})


def _finish(folder, *parts):
    return tables.finish(str(folder), "numbers", parts, schema=NUMBERS, facts=lambda: {"told": 7})


def test_rows_come_back_in_the_order_written(tmp_path):
    _finish(tmp_path / "t", _numbers(3, 1), _numbers(2))
    assert tables.read_table(str(tmp_path / "t"))["n"].to_pylist() == [3, 1, 2]


def test_the_manifest_counts_rows_and_says_the_facts(tmp_path):
    manifest = _finish(tmp_path / "t", _numbers(3, 1), _numbers(2))
    assert (manifest["rows"], manifest["generation"], manifest["told"]) == (3, 1, 7)
    assert manifest == tables.read_manifest(str(tmp_path / "t"))


def test_an_empty_table_keeps_its_schema(tmp_path):
    assert _finish(tmp_path / "t")["rows"] == 0
    assert tables.read_table(str(tmp_path / "t")).schema.equals(NUMBERS)


def test_a_million_rows_go_into_one_file_and_more_into_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_PER_FILE", 4)
    manifest = _finish(tmp_path / "t", *[_numbers(n, n) for n in range(5)])
    assert [storage.read_parquet(storage.join(str(tmp_path / "t"), name)).num_rows for name in manifest["files"]] == [
        4,
        4,
        2,
    ]


def test_a_new_generation_removes_the_files_of_the_one_before(tmp_path):
    first = _finish(tmp_path, _numbers(1))
    second = _finish(tmp_path, _numbers(1, 2))
    assert second["generation"] == 2 and set(first["files"]).isdisjoint(storage.names(str(tmp_path)))


def test_a_generation_that_fails_leaves_the_one_before_whole(tmp_path):
    def breaking():
        yield _numbers(5)
        raise OutputError("broken")

    _finish(tmp_path, _numbers(1, 2))
    with pytest.raises(OutputError):
        tables.finish(str(tmp_path), "numbers", breaking(), schema=NUMBERS, facts=dict)
    assert tables.read_table(str(tmp_path))["n"].to_pylist() == [1, 2]


def test_a_table_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(OutputError, match="holds no medray table"):
        tables.read_manifest(str(tmp_path))
    tables.claim(str(tmp_path), RUN)
    with pytest.raises(OutputError, match="is not finished"):
        tables.read_manifest(str(tmp_path))


def test_the_same_run_takes_its_folder_up_again(tmp_path):
    assert tables.claim(str(tmp_path), RUN) is False
    storage.write_parquet(tables.part_uri(str(tmp_path), "aa"), _numbers(1))
    assert tables.claim(str(tmp_path), RUN) is False
    assert tables.finished_parts(str(tmp_path)) == {"aa"}
    _finish(tmp_path, _numbers(1))
    assert tables.claim(str(tmp_path), RUN) is True


def test_what_other_settings_made_is_refused_and_the_settings_named(tmp_path):
    tables.claim(str(tmp_path), RUN)
    storage.write_parquet(tables.part_uri(str(tmp_path), "aa"), _numbers(1))
    with pytest.raises(OutputError, match=r"other settings \(source differ\)"):
        tables.claim(str(tmp_path), RUN | {"source": "there"})


def test_a_run_that_made_nothing_gives_way_to_a_corrected_command(tmp_path):
    tables.claim(str(tmp_path), RUN)
    assert tables.claim(str(tmp_path), RUN | {"source": "there"}) is False
    assert json.loads((tmp_path / tables.RUN).read_text())["source"] == "there"


def test_a_folder_of_something_else_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is no output of this job"):
        tables.claim(str(tmp_path), RUN)
    assert storage.names(str(tmp_path)) == ["thesis.txt"]


def test_looking_whether_a_job_is_finished_writes_nothing(tmp_path):
    assert tables.is_finished(str(tmp_path / "new"), RUN) is False
    assert not (tmp_path / "new").exists()


def test_a_half_written_part_is_no_part(tmp_path):
    (tmp_path / tables.PARTS).mkdir()
    (tmp_path / tables.PARTS / ".part-aa.parquet.77.partial").write_bytes(b"PAR1")
    assert tables.finished_parts(str(tmp_path)) == set()


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert tables.digest({"a": 1, "b": 2}) == tables.digest({"b": 2, "a": 1}) != tables.digest({"a": 2, "b": 1})
