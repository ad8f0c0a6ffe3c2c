"""`medray index`: one row an object or member, brought up to date by reading only what is new or changed."""

import shutil
import tarfile
import zipfile
from collections import Counter

import pytest

from medray import storage, tables
from medray.errors import MedrayError
from medray.pipelines import index as room
from medray.pipelines.index import index
from medray.settings import IndexSettings


@pytest.fixture
def archive(phantoms, tmp_path):
    """A copy of a part of the phantom archive that a test may change: 9 files, one of them a shard."""
    folder = tmp_path / "archive"
    shutil.copytree(phantoms / "broken", folder / "broken")
    shutil.copy(phantoms / "shard-000.tar", folder / "shard-000.tar")
    return folder


@pytest.fixture
def settings(archive, tmp_path, ray_local):
    return IndexSettings(str(archive), str(tmp_path / "index"), objects_per_task=3)


def _rows(settings):
    return {row["object_id"]: row for row in tables.read_table(settings.out).to_pylist()}


def test_every_object_and_every_member_has_one_row(indexed, phantoms):
    objects = sum(path.is_file() for path in phantoms.rglob("*"))
    with tarfile.open(phantoms / "shard-000.tar") as tar, zipfile.ZipFile(phantoms / "more.zip") as shard:
        members = len(tar.getmembers()) + len(shard.namelist())
    table = tables.read_table(str(indexed))
    ids = table["object_id"].to_pylist()
    assert len(ids) == len(set(ids))
    own = [row for row in table.to_pylist() if row["member"] is None]
    planted = [row for row in table.to_pylist() if row["member"] and row["status"] == "ok" and row["format"] == "png"]
    assert len(own) == objects
    assert len(planted) == members


def test_every_row_is_ok_or_has_a_reason_and_the_funnel_adds_up(indexed):
    rows = tables.read_table(str(indexed), ["status", "reason"]).to_pylist()
    manifest = tables.read_manifest(str(indexed))
    assert all((row["status"] == "ok") == (row["reason"] is None) for row in rows)
    assert manifest["funnel"]["status"] == Counter(row["status"] for row in rows)
    assert sum(manifest["funnel"]["status"].values()) == manifest["rows"] == len(rows)
    assert sum(manifest["funnel"]["reasons"].values()) == sum(row["status"] != "ok" for row in rows)


def test_the_number_of_tasks_does_not_change_the_rows(indexed, phantoms, tmp_path):
    index(IndexSettings(str(phantoms), str(tmp_path), objects_per_task=17))
    found = [tables.read_table(str(out)).sort_by("object_id") for out in (indexed, tmp_path)]
    assert found[0].equals(found[1])


def test_a_second_run_reads_nothing_and_leaves_the_index_as_it_is(settings):
    first = index(settings)
    before = {name: storage.read_bytes(storage.join(settings.out, name)) for name in first["files"]}
    second = index(settings)
    assert (first["read"], second["read"], second["kept"]) == (9, 0, 9)
    assert (second["generation"], second["files"]) == (1, first["files"])
    assert before == {name: storage.read_bytes(storage.join(settings.out, name)) for name in first["files"]}


def test_one_changed_file_is_the_only_one_read_again(settings, archive):
    before = (index(settings), _rows(settings))[1]
    (archive / "broken" / "notes.txt").write_text("Scanner moved back to room 2.\n")
    manifest = index(settings)
    after = _rows(settings)
    assert (manifest["read"], manifest["kept"], manifest["generation"]) == (1, 8, 2)
    assert before.keys() == after.keys()
    assert [before[name]["length"] for name in before if before[name] != after[name]] == [25]


def test_a_removed_file_and_the_members_of_a_removed_shard_leave_the_index(settings, archive):
    rows = index(settings)["rows"]
    with tarfile.open(archive / "shard-000.tar") as shard:
        members = len(shard.getmembers())
    (archive / "shard-000.tar").unlink()
    manifest = index(settings)
    assert (manifest["rows"], manifest["read"]) == (rows - members - 1, 0)
    assert manifest["funnel"]["listed"] == manifest["rows"]


def test_a_restart_reads_everything_again(settings):
    rows = (index(settings), _rows(settings))[1]
    assert index(IndexSettings(settings.archive, settings.out, objects_per_task=3, restart=True))["read"] == 9
    assert _rows(settings) == rows


def test_an_interrupted_run_goes_on_from_its_parts(settings, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room.tables, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            index(settings)
    with pytest.raises(MedrayError, match="is not finished"):
        tables.read_table(settings.out)
    assert len(tables.finished_parts(settings.out)) == 3
    lost = sorted(tables.finished_parts(settings.out))[0]
    storage.delete(tables.part_uri(settings.out, lost))
    done, over = [], room.Progress.over
    monkeypatch.setattr(room.Progress, "over", lambda *given, **more: done.extend(over(*given, **more)) or done)
    assert index(settings)["rows"] == len(_rows(settings))
    assert [unit["unit_id"] for unit in done] == [lost]


def test_an_output_within_the_archive_is_no_part_of_it(archive, ray_local):
    settings = IndexSettings(str(archive), str(archive / "index"))
    assert index(settings)["read"] == 9
    assert index(settings)["read"] == 0


def test_names_are_sealed_unless_plain_ones_are_asked_for(settings, tmp_path):
    index(settings)
    assert all(row["uri"].startswith("sealed:") for row in _rows(settings).values())
    plain = IndexSettings(settings.archive, str(tmp_path / "plain"), paths="plain")
    index(plain)
    assert {row["uri"] for row in _rows(plain).values()} == {o.uri for o in storage.list_objects(settings.archive)}
    assert _rows(plain).keys() == _rows(settings).keys()
