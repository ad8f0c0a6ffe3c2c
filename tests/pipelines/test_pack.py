"""`medray pack`: shards whose members are the originals, byte for byte, and whose index stands for the old one."""

import hashlib
import re
import tarfile
from itertools import groupby

import numpy as np
import pytest

from medray import storage, tables
from medray.archive.reading import read_object
from medray.errors import ArchiveError, OutputError, SettingsError
from medray.pipelines import pack as packing
from medray.pipelines.index import index
from medray.pipelines.pack import pack
from medray.pipelines.score import score
from medray.pipelines.train import labelled_rows
from medray.schema import INDEX
from medray.settings import IndexSettings, PackSettings
from tests.pipelines import road

SHARD_BYTES = 2**19
PLACE = {"uri", "member", "offset", "length", "compression", "etag", "checksum"}
NAME = re.compile(r"[0-9a-f]{32}\.(dcm|png|jpg|tif)")


@pytest.fixture(scope="module")
def packed(indexed, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "index"
    pack(PackSettings(str(indexed), str(out), shard_bytes=SHARD_BYTES))
    return out


def rows_of(uri):
    """Rows by id, those of medray's own shards apart."""
    rows = tables.read_table(str(uri)).to_pylist()
    own = [row for row in rows if (row["checksum"] or "").startswith("sha256:")]
    by_id = {row["object_id"]: row for row in rows if row not in own}
    assert len(by_id) == len(rows) - len(own)
    return by_id, own


def tree(folder):
    """Time and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def without_place(row):
    return {name: value for name, value in row.items() if name not in PLACE}


def assert_stands_for(packed, indexed):
    """The packed index is the loose one in every column but place."""
    before, (after, shards) = rows_of(indexed)[0], rows_of(packed)
    assert after.keys() == before.keys()
    moved = {name for name, row in after.items() if row["checksum"]}
    for name, row in before.items():
        assert without_place(after[name]) == without_place(row)
        assert name in moved or after[name] == row
        assert name in moved or row["format"] not in ("dicom", "png", "jpeg", "tiff") or row["reason"] == "dicomdir"
    manifest = tables.read_manifest(str(packed))
    assert manifest["packed"]["objects"] == len(moved) and manifest["shards"] == len(shards)
    assert manifest["packed"]["bytes"] == sum(after[name]["length"] for name in moved)
    assert len(moved) + sum(manifest["stays"].values()) == len(before)
    return moved


def test_the_index_of_the_shards_is_that_of_the_archive_but_for_the_place(indexed, packed):
    assert len(assert_stands_for(packed, indexed)) > 200


def test_reports_and_broken_files_are_packed_and_what_stays_is_said(indexed, packed, capsys):
    moved = {row["reason"] for row in rows_of(packed)[0].values() if row["checksum"]}
    assert moved == {None, "non_image_class", "corrupt_header", "pixel_length_mismatch"}
    stays = tables.read_manifest(str(packed))["stays"]
    assert stays == {
        "skipped:not_an_image": 12,
        "skipped:dicomdir": 8,
        "skipped:container": 2,
        "skipped:empty_object": 1,
        "failed:unsupported_container": 1,
    }


def test_members_are_the_bytes_of_the_originals(indexed, packed, medray_key):
    before, (after, _) = rows_of(indexed)[0], rows_of(packed)
    for name, row in after.items():
        if row["checksum"]:
            assert read_object(before[name], medray_key) == read_object(row, medray_key)


def test_shards_are_tars_that_anyone_can_read_and_name_no_patient(packed):
    names = []
    for path in (packed / "shards").glob("*.tar"):
        assert path.stat().st_size <= SHARD_BYTES + 10240
        with tarfile.open(path) as shard:
            names += shard.getnames()
    assert len(names) == len(set(names)) > 200 and all(NAME.fullmatch(name) for name in names)


def test_sha256sum_proves_every_shard(packed):
    lines = (packed / "shards" / "SHA256SUMS").read_text().splitlines()
    assert len(lines) == len(list((packed / "shards").glob("*.tar"))) > 5
    for line in lines:
        found, _, name = line.partition("  ")
        assert found == hashlib.sha256((packed / "shards" / name).read_bytes()).hexdigest()


def test_slices_of_a_series_lie_in_one_shard_one_behind_the_other(packed):
    rows = [row for row in tables.read_table(str(packed)).to_pylist() if row["checksum"] and row["series_key"]]
    groups = [key for key, _ in groupby(rows, lambda row: (row["series_key"], row["uri"]))]
    assert len(groups) == len(set(groups))
    large = [key for key, found in groupby(rows, lambda row: row["series_key"])
             if sum(512 + row["length"] for row in found) > SHARD_BYTES - 2**16]  # fmt: skip
    assert {key for key, _ in groups if [name for name, _ in groups].count(key) > 1} <= set(large)


def test_webdataset_reads_a_sample_an_object(packed, indexed, medray_key):
    import webdataset

    urls = sorted(str(path) for path in (packed / "shards").glob("*.tar"))
    found = list(webdataset.WebDataset(urls, shardshuffle=False))
    rows = {name: row for name, row in rows_of(packed)[0].items() if row["checksum"]}
    extension = {"dicom": "dcm", "png": "png", "jpeg": "jpg", "tiff": "tif"}
    assert sorted(sample["__key__"] for sample in found) == sorted(rows)
    for sample in found:
        row = rows[sample["__key__"]]
        assert {name for name in sample if not name.startswith("__")} == {extension[row["format"]]}
        assert sample[extension[row["format"]]] == read_object(row, medray_key)


def test_the_packed_archive_is_scored_with_the_same_logits(packed, scored, scoring, tmp_path):
    score(scoring(tmp_path, source=str(packed)))
    answers = [
        {row["sample_id"]: row["logits"] for row in tables.read_table(str(uri)).to_pylist() if row["status"] == "ok"}
        for uri in (scored, tmp_path)
    ]
    assert answers[0].keys() == answers[1].keys()
    for name, logits in answers[0].items():
        np.testing.assert_allclose(answers[1][name], logits, atol=1e-5)  # other batches: rounding differs


def test_a_flipped_bit_in_a_shard_fails_one_sample_that_names_the_shard(packed, scored, scoring, tmp_path, medray_key):
    from medray.archive.identity import unseal

    row = next(row for row in rows_of(packed)[0].values() if row["checksum"] and row["status"] == "ok")
    path = unseal(medray_key, row["uri"])
    whole = storage.read_bytes(path)
    broken = bytearray(whole)
    broken[row["offset"] + row["length"] - 1] ^= 1
    storage.write_bytes(path, bytes(broken))
    try:
        score(scoring(tmp_path, source=str(packed)))
    finally:
        storage.write_bytes(path, whole)
    rows = tables.read_table(str(tmp_path)).to_pylist()
    (found,) = [row for row in rows if row["reason"] == "checksum_mismatch"]
    assert found["object_id"] == row["object_id"] and found["detail"].startswith(path.rpartition("/")[2])
    ok = [sum(row["status"] == "ok" for row in table) for table in (tables.read_table(str(scored)).to_pylist(), rows)]
    assert ok[1] == ok[0] - row["frames"]


def test_labels_by_path_still_find_their_images(indexed, packed, training, medray_key):
    found = []
    for source in (indexed, packed):
        rows = labelled_rows(str(source), training("", source=str(source)), medray_key)
        found.append({row["object_id"]: (row["label"], row["split"]) for row in rows.to_pylist()})
    assert len(found[0]) == 48 and found[0] == found[1]


def test_the_archive_is_only_read_and_a_second_run_does_nothing(indexed, packed, phantoms, tmp_path):
    archive = tree(phantoms)
    pack(PackSettings(str(indexed), str(tmp_path / "other"), shard_bytes=SHARD_BYTES))
    assert tree(phantoms) == archive
    before = tree(packed)
    pack(PackSettings(str(indexed), str(packed), shard_bytes=SHARD_BYTES))
    assert tree(packed) == before


def test_what_a_killed_run_left_is_swept_and_a_unit_half_done_is_done_again(indexed, packed, tmp_path, monkeypatch):
    settings = PackSettings(str(indexed), str(tmp_path / "index"), shard_bytes=SHARD_BYTES)

    def killed(*_):
        raise OutputError("killed before the manifest")

    with monkeypatch.context() as patch:
        patch.setattr(packing, "_finish", killed)
        with pytest.raises(OutputError, match="killed"):
            pack(settings)
    parts = sorted((tmp_path / "index" / tables.PARTS).iterdir())
    parts[0].unlink()  # its shard is there, its part file is not
    shards = tmp_path / "index" / "shards"
    (shards / ".shard-0123456789abcdef.tar.77.partial").write_bytes(b"half")
    kept = parts[1].stat().st_mtime_ns
    pack(settings)
    names = [set(storage.names(str(out / "shards"))) for out in (packed, tmp_path / "index")]
    assert names[0] == names[1] and kept < (tmp_path / "index" / tables.MANIFEST).stat().st_mtime_ns
    assert (shards / "SHA256SUMS").read_text() == (packed / "shards" / "SHA256SUMS").read_text()
    assert_stands_for(tmp_path / "index", indexed)


def test_what_went_since_the_index_fails_keeps_its_place_and_is_said(phantoms, tmp_path, ray_local, capsys):
    for name in ("IM000", "IM001"):
        images = sorted(path for path in phantoms.rglob("IM*") if path.is_file())
        storage.write_bytes(str(tmp_path / "archive" / name), images[len(name) % 2].read_bytes())
    index(IndexSettings(str(tmp_path / "archive"), str(tmp_path / "index"), paths="plain"))
    (tmp_path / "archive" / "IM001").unlink()
    manifest = pack(PackSettings(str(tmp_path / "index"), str(tmp_path / "packed"), paths="plain"))
    gone = next(row for row in rows_of(tmp_path / "packed")[0].values() if row["reason"] == "not_found")
    assert (gone["status"], gone["uri"]) == ("failed", str(tmp_path / "archive" / "IM001"))
    assert manifest["packed"]["objects"] == 1 and manifest["stays"] == {"failed:not_found": 1}
    assert "1 stay where they are (not_found 1)" in capsys.readouterr().err


def test_packing_what_is_packed_gives_the_same_shards(packed, tmp_path):
    pack(PackSettings(str(packed), str(tmp_path / "again"), shard_bytes=SHARD_BYTES))
    members = [
        {name: (row["length"], row["checksum"]) for name, row in rows_of(out)[0].items() if row["member"]}
        for out in (packed, tmp_path / "again")
    ]
    assert members[0] == members[1]


def test_an_index_sorted_in_pieces_holds_the_same_rows_and_whole_series(indexed, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "ROWS_AT_ONCE", 64)
    pack(PackSettings(str(indexed), str(tmp_path / "pieces"), shard_bytes=2**28))
    assert_stands_for(tmp_path / "pieces", indexed)
    rows = [row for row in rows_of(tmp_path / "pieces")[0].values() if row["checksum"] and row["series_key"]]
    shards_of = {
        row["series_key"]: {other["uri"] for other in rows if other["series_key"] == row["series_key"]} for row in rows
    }
    assert len({row["uri"] for row in rows}) == 4 and all(len(shards) == 1 for shards in shards_of.values())


def test_an_index_without_an_image_is_refused(tmp_path, ray_local):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "notes.txt").write_text("nothing to see")
    index(IndexSettings(str(tmp_path / "archive"), str(tmp_path / "index")))
    with pytest.raises(ArchiveError, match="holds no images"):
        pack(PackSettings(str(tmp_path / "index"), str(tmp_path / "packed")))
    assert not (tmp_path / "packed").exists()


def test_shards_inside_the_archive_and_other_settings_are_refused(indexed, packed, phantoms):
    with pytest.raises(SettingsError, match="would lie in the archive"):
        pack(PackSettings(str(indexed), str(phantoms / "packed")))
    with pytest.raises(OutputError, match=r"shard_bytes differ"):
        pack(PackSettings(str(indexed), str(packed), shard_bytes=2 * SHARD_BYTES))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_archive_of_every_kind_is_packed_and_read_again(medray_data, tmp_path, ray_local, medray_key):
    """All of MEDRAY_DATA: the packed index is the loose one, and an index made of the shards agrees with both."""
    done = road.here("index", "--archive", str(medray_data), "--out", str(tmp_path / "index"))
    assert done.code == 0, done.text
    before = tree(medray_data)
    pack(PackSettings(str(tmp_path / "index"), str(tmp_path / "packed"), shard_bytes=2**24))
    assert tree(medray_data) == before
    moved = assert_stands_for(tmp_path / "packed", tmp_path / "index")
    index(IndexSettings(str(tmp_path / "packed" / "shards"), str(tmp_path / "again"), paths="plain"))
    after, again = rows_of(tmp_path / "packed")[0], tables.read_table(str(tmp_path / "again")).to_pylist()
    found = {row["member"].partition(".")[0]: row for row in again if row["member"]}
    assert len(moved) > 2000 and found.keys() == moved
    for name, row in found.items():
        differs = {"object_id", "uri", "member", "checksum", "bytes_read"}
        differs |= {"patient_key"} if "patient_unknown" in row["flags"] else set()
        assert [column for column in INDEX.names if column not in differs and row[column] != after[name][column]] == []
