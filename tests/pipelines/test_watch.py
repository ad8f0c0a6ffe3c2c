"""A unit's deaths outlive its worker, and others are not disturbed; a unit that stands still ends its worker."""

import os
import time
from pathlib import Path

import pyarrow as pa
import pytest

from medray import stages
from medray.errors import MedrayError
from medray.pipelines import watch as room
from medray.pipelines.cluster import cluster
from medray.pipelines.units import PlannedUnit, on_actors, unit_of
from medray.pipelines.watch import Tries, UnitWatch, Watched
from medray.pipelines.watchdog import watched_ledger
from medray.settings import RaySettings

DEATHS = 2


class Fragile:
    """Dies at one unit, twice, and stands still at another, once; notes each try, and whether it may be finished."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, block: pa.Table, tries: Tries) -> pa.Table:
        unit = unit_of(block).unit_id
        with (self.folder / unit).open("a") as file:
            file.write("m" if tries.maybe_finished else "f")
        if unit == "0003" and tries.died < DEATHS:
            os._exit(1)
        if unit == "0005" and tries.died < 1:
            time.sleep(600)
        return pa.table({"unit_id": [unit], "died": [0]})


def test_a_dying_and_a_stalled_unit_are_started_again_with_their_deaths_counted_and_no_other_is(ray_local, tmp_path):
    units = [PlannedUnit(f"{number:04d}", "plan.parquet", number, 1) for number in range(8)]
    watch = UnitWatch(RaySettings(stalled_s=1.0))
    with cluster(RaySettings()):  # the one that runs already
        dataset = on_actors(units, Watched, (watch, Fragile, (str(tmp_path),)), actors=1, settings=watch.for_ray(8))
        died = {row["unit_id"]: row["died"] for row in watched_ledger(dataset, "test", watch)}
        assert died == {unit.unit_id: {"0003": DEATHS, "0005": 1}.get(unit.unit_id, 0) for unit in units}
        tried = {path.name: path.read_text() for path in sorted(tmp_path.iterdir())}
        # Ray may give a finished unit again whose end it had not heard of; then, too, the unit is told.
        assert all(len(tried[unit]) > times for unit, times in died.items())
        assert not any("f" in text[1:] for text in tried.values())
        assert any("f" in text for text in tried.values())
        assert watch.records() == {}


def test_a_record_lives_as_long_as_its_unit_is_under_way_and_tells_the_stage(ray_local):
    watch = UnitWatch(RaySettings())
    with watch.over("0a") as died:
        assert died == 0 and watch.records()["unit/0a"]["stage"] == "read"
        stages.reach("forward")
        record = watch.records()["unit/0a"]
        assert (record["stage"], record["beats"], record["tries"]) == ("forward", 2, 1)
        stages.reach("forward")
        assert watch.records()["unit/0a"]["beats"] == 2  # a second has not passed
    assert watch.records() == {} and not stages.watchers


def test_a_unit_that_ends_its_worker_again_and_again_ends_the_job(ray_local):
    watch = UnitWatch(RaySettings(max_retries=1))
    for tries, died in enumerate((0, 1, 2), 1):
        with watch.over("0b") as counted:
            assert counted == died
        room._internal_kv_put(
            f"{watch.run}/unit/0b", f'{{"tries": {tries}}}', namespace=room.NAMESPACE
        )  # as by a death
    with pytest.raises(MedrayError, match="Unit 0b has ended its worker 3 times"), watch.over("0b"):
        pass
    watch.forget()
    with watch.over("0b") as counted:
        assert counted == 0


def test_heartbeats_of_a_unit_cost_less_than_five_milliseconds(ray_local):
    watch = UnitWatch(RaySettings())
    started = time.process_time()
    for number in range(50):
        with watch.over(str(number)):
            for stage in ("decode", "graph", "forward", "forward", "write", "written"):
                stages.reach(stage)
    assert (time.process_time() - started) / 50 < 0.005
