"""A retry wants some frames of an object: those, each once, whatever has become of the object."""

import pyarrow as pa

from medray.scoring.wanted import WANTED, rows_to_retry, wanted_samples

SAMPLES = pa.table(
    {
        "sample_id": ["a:0", "a:1", "a:2", "b", "c"],
        "row": pa.array([0, 0, 0, 1, 2], pa.int32()),
        "frame": pa.array([0, 1, 2, None, None], pa.int32()),
        "status": ["ok", "failed", "ok", "failed", "failed"],
    }
)


def _rows(*wanted):
    return pa.table({WANTED: pa.array(wanted, pa.list_(pa.int32()))})


def test_rows_that_want_nothing_special_give_every_sample():
    assert wanted_samples(SAMPLES, pa.table({"object_id": ["a", "b", "c"]})) is SAMPLES


def test_wanted_frames_are_taken_and_a_null_takes_the_whole_object():
    found = wanted_samples(SAMPLES, _rows([2, 1], [None], [None]))
    assert found["sample_id"].to_pylist() == ["a:1", "a:2", "b", "c"]
    assert found.schema == SAMPLES.schema


def test_an_object_that_cannot_be_read_any_more_gives_each_wanted_frame_a_row():
    found = wanted_samples(SAMPLES, _rows([], [4, 1], [None]))
    assert found["sample_id"].to_pylist() == ["b:1", "b:4", "c"]
    assert found["frame"].to_pylist() == [1, 4, None] and found["status"].to_pylist() == ["failed"] * 3


def test_nothing_wanted_is_an_empty_table():
    assert wanted_samples(SAMPLES, _rows([], [], [])).num_rows == 0


def test_rows_to_retry_are_those_that_were_indexed_with_the_frames_of_each():
    index = pa.table({"object_id": ["a", "b", "c"], "status": ["ok", "failed", "ok"]})
    chosen = pa.table({"object_id": ["c", "a", "b", "a"], "frame": pa.array([None, 3, None, 5], pa.int32())})
    rows = rows_to_retry(index, chosen)
    assert rows["object_id"].to_pylist() == ["a", "c"] and rows[WANTED].to_pylist() == [[3, 5], [None]]
