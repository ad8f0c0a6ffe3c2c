"""Wounded files through index and isolated decoding: each has one status, and none is a defect of medray's own.

`benchmarks/fuzz.py` sends 20,000 of them through the whole job.
"""

from collections import Counter

import pytest

from benchmarks.fuzz import lay_out
from benchmarks.mutants import mutant
from benchmarks.originals import originals
from medray import storage
from medray.archive.objects import index_object, rows_to_table
from medray.image_settings import DecodeSettings
from medray.samples.isolated import end_decoding_process, isolated_images_of
from medray.settings import IndexSettings, Recipe
from tests.archive.makers import KEY

MUTANTS = 150
DECODE = DecodeSettings(cross_check=0.1, frame_seconds=30, gibibytes=4)


@pytest.fixture(scope="module")
def wounded(tmp_path_factory):
    """The archive of mutants, and the path of each in it."""
    folder, files = tmp_path_factory.mktemp("fuzz"), originals()
    return folder, lay_out(folder, (mutant(files, number) for number in range(MUTANTS)))


@pytest.fixture(scope="module")
def indexed(wounded):
    settings = IndexSettings(archive=str(wounded[0]), out="unused", paths="plain")
    listing = storage.list_objects(str(wounded[0]))
    return [row | {"path": stored.path} for stored in listing for row in index_object(stored, KEY, settings)]


def test_every_wounded_file_has_one_row_of_the_index(wounded, indexed):
    names = (f"{row['path']}/{row['member']}" if row["member"] else row["path"] for row in indexed)
    rows = Counter(names)
    assert [path for path in wounded[1] if rows[path] != 1] == [] and max(rows.values()) == 1
    assert {row["status"] for row in indexed} == {"ok", "skipped", "failed"}
    assert [row["detail"] for row in indexed if row["reason"] == "internal"] == []


def test_every_sample_of_them_has_one_row_and_no_reason_is_internal(indexed):
    rows = [row for row in indexed if row["status"] != "skipped"]
    table = rows_to_table([{name: value for name, value in row.items() if name != "path"} for row in rows])
    samples = isolated_images_of(table, KEY, Recipe(size=16), DECODE).drop_columns(["image"]).to_pylist()
    end_decoding_process()
    for number, row in enumerate(rows):
        found = [sample["frame"] for sample in samples if sample["row"] == number]
        assert found == [None] or (found == list(range(len(found))) and len(found) == (row["frames"] or 1))
    assert len({sample["sample_id"] for sample in samples}) == len(samples)
    assert [sample["detail"] for sample in samples if sample["reason"] == "internal"] == []
    assert Counter(sample["status"] for sample in samples)["ok"] > MUTANTS / 3
