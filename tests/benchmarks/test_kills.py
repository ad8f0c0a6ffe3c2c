"""What the kills benchmark counts: kinds, stages, and rows that are lost, doubled or changed."""

import os

import pyarrow as pa

from benchmarks import kills
from medray import tables
from medray.faults import faults_of

ROWS = pa.schema([pa.field("sample_id", pa.string()), pa.field("label", pa.string())])


def _table(folder, **labels):
    rows = pa.table({"sample_id": [name[0] for name in labels], "label": list(labels.values())}, schema=ROWS)
    tables.claim(str(folder), {"job": "score"})
    tables.finish(str(folder), "predictions", [rows], schema=ROWS, facts=dict)
    return folder


def test_rounds_are_drawn_from_their_number_and_reach_every_stage_and_kind():
    drawn = [kills.draw(number) for number in range(60)]
    assert drawn == [kills.draw(number) for number in range(60)]
    faults = [fault for lines in drawn for fault in faults_of(";".join(lines))]
    assert {fault.stage for fault in faults} == {*kills.DRIVER, *kills.WORKER}
    assert {fault.action for fault in faults} == {"raylet", *kills.ENDS}


def test_lost_doubled_and_changed_rows_are_counted_in_any_order(tmp_path):
    whole = _table(tmp_path / "whole", a="x", b="y", c="z")
    assert kills.compare(whole, _table(tmp_path / "same", c="z", a="x", b="y")) == dict.fromkeys(
        ("lost", "doubled", "changed"), 0
    )
    damaged = _table(tmp_path / "damaged", a="x", a2="x", b="another")
    assert kills.compare(whole, damaged) == {"lost": 1, "doubled": 1, "changed": 1}


def test_a_part_that_is_written_again_is_seen(tmp_path):
    eyes = kills.Eyes(tmp_path)
    for name in ("part-a.parquet", "part-b.parquet"):
        (tmp_path / name).write_bytes(b"1")
    eyes.look()
    os.replace(tmp_path / "part-a.parquet", tmp_path / "kept")
    eyes.look()
    assert eyes.redone == set()
    (tmp_path / "part-a.parquet").write_bytes(b"1")
    eyes.look()
    assert eyes.redone == {"part-a.parquet"} and set(eyes.seen) == {"part-a.parquet", "part-b.parquet"}


def test_the_figures_count_each_mark_as_a_kill_of_its_kind():
    found = {"lost": 0, "doubled": 0, "changed": 0, "redone_units": 1, "finished": True}
    rounds = [
        {**found, "kills": ["forward-exit-4", "unit-kill-5", "write-raylet-2"], "codes": [-9, 1, 0]},
        {"kills": ["filed-kill-1"], "codes": [-9] * 20, "redone_units": 0, "finished": False},
    ]
    figures = kills.summary(rounds)
    assert (figures["kills"], figures["runs"], figures["redone_units"], figures["unfinished_rounds"]) == (4, 23, 1, 1)
    assert figures["by_kind"] == {"driver": 2, "raylet": 1, "worker": 1}
    assert figures["by_stage"] == {"filed": 1, "forward": 1, "unit": 1, "write": 1}
