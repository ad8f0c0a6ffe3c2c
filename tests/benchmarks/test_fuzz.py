import os
import signal
import time

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.fuzz import dead_workers, inputs_by_rows, lay_out, samples_without_one_row
from benchmarks.mutants import Mutant
from benchmarks.processes import ProcessWatch
from medray import tables
from medray.schema import INDEX, PREDICTIONS
from tests.pipelines.conftest import RAYS_OWN

pytestmark = [pytest.mark.filterwarnings(rule) for rule in RAYS_OWN]


def test_a_worker_that_is_killed_is_counted_and_one_that_ends_is_not(ray_local):
    import ray

    @ray.remote(max_retries=0)
    def ends(number):
        os.kill(os.getpid(), number)

    before = len(dead_workers())
    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(ends.remote(signal.SIGKILL))
    deadline = time.monotonic() + 20  # the caller hears of a death before Ray's table of workers does
    while len(dead_workers()) == before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(dead_workers()) == before + 1


def test_memory_that_is_taken_shows(tmp_path):
    with ProcessWatch(every_s=0.02) as watch:
        held = np.ones(2**24)
        while len(watch.samples) < 3:
            assert held[0] == 1
    peaks = watch.peaks()["driver"]
    assert max(peaks.values()) >= 128


def _table(out, schema, rows):
    tables.claim(str(out), {"job": out.name})
    filled = [dict.fromkeys(schema.names) | row for row in rows]
    tables.finish(str(out), out.name, [pa.Table.from_pylist(filled, schema)], schema=schema, facts=dict)
    return str(out)


@pytest.mark.parametrize(
    ("frames", "wrong"), [([0, 1], 0), ([None], 0), ([0], 1), ([0, 0], 1), ([0, 1, 2], 1), ([], 1), ([None, 0], 1)]
)
def test_a_sample_lost_or_doubled_is_counted(tmp_path, frames, wrong):
    index = _table(tmp_path / "index", INDEX, [{"object_id": "a", "status": "ok", "frames": 2}])
    rows = [{"object_id": "a", "status": "ok", "frame": frame} for frame in frames]
    assert samples_without_one_row(index, _table(tmp_path / "predictions", PREDICTIONS, rows)) == wrong


def test_rows_are_counted_by_the_inputs_place(tmp_path):
    rows = [{"uri": f"{tmp_path}/a.tar", "member": member, "status": "ok"} for member in (None, "x", "x")]
    assert inputs_by_rows(_table(tmp_path / "index", INDEX, rows), tmp_path) == {"a.tar": 1, "a.tar/x": 2}


def test_inputs_lie_in_shards_and_loose(tmp_path):
    paths = lay_out(tmp_path, (Mutant(number, "", (), b"x" * number) for number in range(21)))
    assert paths[0] == "shard-000.tar/000000" and paths[19] == "loose/000019" and len(set(paths)) == 21
    assert (tmp_path / "loose" / "000019").stat().st_size == 19
