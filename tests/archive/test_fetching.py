import random

import pytest

from medray import storage
from medray.archive.fetching import read_object, read_objects
from medray.errors import Reason, SampleError
from tests.archive.makers import KEY, index_folder, tar_bytes
from tests.archive.test_images import encoded

CONTENTS = {f"{n:03d}.png": encoded("L", "PNG", size=(n + 1, 9)) for n in range(40)}


@pytest.fixture
def archive(tmp_path):
    (tmp_path / "shard.tar").write_bytes(tar_bytes(CONTENTS))
    for name, content in CONTENTS.items():
        (tmp_path / f"loose-{name}").write_bytes(content)
    return tmp_path


def test_objects_come_in_the_order_of_their_rows(archive):
    rows = [row for row in index_folder(archive) if row["status"] == "ok"]
    random.Random(0).shuffle(rows)
    expected = [CONTENTS[(row["member"] or row["uri"])[-7:]] for row in rows]
    assert list(read_objects(rows, KEY)) == expected
    assert [read_object(row, KEY) for row in rows[:5]] == expected[:5]


def test_neighbours_in_a_shard_take_one_read(archive, monkeypatch):
    rows = [row for row in index_folder(archive, paths="sealed") if row["member"]]
    calls = []
    read = storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda *args: calls.append(args) or read(*args))
    assert list(read_objects(rows, KEY)) == list(CONTENTS.values())
    assert len(calls) == 1


def test_what_changed_or_went_since_the_index_is_an_error_in_its_place(archive):
    rows = index_folder(archive)[:3]
    (archive / "loose-000.png").write_bytes(b"longer" * 1000)
    (archive / "loose-001.png").unlink()
    first, second, third = read_objects(rows, KEY)
    assert isinstance(first, SampleError) and first.reason is Reason.CHANGED_SINCE_INDEX
    assert isinstance(second, SampleError) and second.reason is Reason.NOT_FOUND
    assert third == CONTENTS["002.png"]
    with pytest.raises(SampleError, match="changed_since_index"):
        read_object(rows[0], KEY)


def test_a_shard_that_got_shorter_costs_its_last_members(archive):
    rows = [row for row in index_folder(archive) if row["member"]]
    data = (archive / "shard.tar").read_bytes()
    (archive / "shard.tar").write_bytes(data[: rows[30]["offset"] + 1])
    found = list(read_objects(rows, KEY))
    assert found[:30] == list(CONTENTS.values())[:30]
    assert {error.reason for error in found[30:]} == {Reason.CHANGED_SINCE_INDEX}


def test_no_rows_give_nothing():
    assert list(read_objects([], KEY)) == []
