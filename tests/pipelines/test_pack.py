"""`medray pack`: shards whose members are the originals, byte for byte, and whose index stands for the old one."""

import re
import tarfile

import numpy as np
import pytest

from medray import storage, tables
from medray.archive.reading import read_object
from medray.errors import ArchiveError
from medray.pipelines.index import index
from medray.pipelines.pack import pack
from medray.pipelines.score import score
from medray.pipelines.train import labelled_rows
from medray.settings import IndexSettings, PackSettings


@pytest.fixture(scope="module")
def packed(indexed, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "index"
    pack(PackSettings(str(indexed), str(out), shard_bytes=2**19))
    return out


def _images(uri):
    rows = tables.read_table(str(uri)).to_pylist()
    return {row["object_id"]: row for row in rows if row["status"] == "ok"}


def test_every_image_of_the_index_is_packed_once(indexed, packed):
    assert _images(packed).keys() == _images(indexed).keys()
    assert tables.read_manifest(str(packed))["shards"] == len(storage.names(str(packed / "shards"))) > 2


def test_members_are_the_bytes_of_the_originals(indexed, packed, medray_key):
    before, after = _images(indexed), _images(packed)
    for name in before:
        assert read_object(before[name], medray_key) == read_object(after[name], medray_key)


def test_shards_are_tars_that_anyone_can_read_and_name_no_patient(packed):
    names = []
    for path in (packed / "shards").iterdir():
        with tarfile.open(path) as shard:
            names += shard.getnames()
    assert len(names) == len(set(names)) and all(re.fullmatch(r"[0-9a-f]{32}\.(dcm|png|jpg|tif|bin)", n) for n in names)


def test_the_packed_archive_is_scored_with_the_same_logits(packed, scored, scoring, tmp_path):
    score(scoring(tmp_path, source=str(packed)))
    answers = [
        {row["sample_id"]: row["logits"] for row in tables.read_table(str(uri)).to_pylist() if row["status"] == "ok"}
        for uri in (scored, tmp_path)
    ]
    assert answers[0].keys() == answers[1].keys()
    for name, logits in answers[0].items():
        np.testing.assert_allclose(answers[1][name], logits, atol=1e-5)  # other batches: rounding differs


def test_labels_by_path_still_find_their_images(indexed, packed, training, medray_key):
    found = []
    for source in (indexed, packed):
        rows = labelled_rows(str(source), training("", source=str(source)), medray_key)
        found.append({row["object_id"]: (row["label"], row["split"]) for row in rows.to_pylist()})
    assert len(found[0]) == 48 and found[0] == found[1]


def test_a_second_run_does_nothing(indexed, packed):
    before = {path: path.stat().st_mtime_ns for path in packed.rglob("*") if path.is_file()}
    pack(PackSettings(str(indexed), str(packed), shard_bytes=2**19))
    assert before == {path: path.stat().st_mtime_ns for path in packed.rglob("*") if path.is_file()}


def test_an_index_without_an_image_is_refused(tmp_path, ray_local):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / "notes.txt").write_text("nothing to see")
    index(IndexSettings(str(tmp_path / "archive"), str(tmp_path / "index")))
    with pytest.raises(ArchiveError, match="holds no images"):
        pack(PackSettings(str(tmp_path / "index"), str(tmp_path / "packed")))
    assert not (tmp_path / "packed").exists()
