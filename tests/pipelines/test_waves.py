"""A large index in waves: every row in one unit, whatever the slices, and the same units in another run."""

from itertools import islice

import numpy as np
import pytest

from medray.pipelines.units import read_plan_file
from medray.pipelines.waves import SLICES_A_WAVE, planned_waves
from tests.samples.test_units import index_of

ROWS, SLICE, BOUND = 600, 12, 2000


def slices():
    index = index_of(ROWS)
    return (index.slice(start, SLICE) for start in range(0, ROWS, SLICE))


def planned(out):
    return list(planned_waves(str(out), slices(), BOUND))


def test_waves_hold_every_row_once_and_grow(tmp_path):
    waves = planned(tmp_path)
    held = [name for wave in waves for unit in wave for name in unit.rows()["object_id"].to_pylist()]
    assert sorted(held) == sorted(index_of(ROWS)["object_id"].to_pylist())
    first, second = SLICES_A_WAVE
    assert [len({unit.uri for unit in wave}) for wave in waves] == [first, second, ROWS // SLICE - first - second]
    assert all(unit.objects == unit.rows().num_rows for wave in waves for unit in wave)


def test_a_second_run_works_on_the_units_of_the_first(tmp_path):
    first = planned(tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "_plan").iterdir()}
    assert planned(tmp_path) == first
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "_plan").iterdir()} == written


def test_a_run_that_was_killed_while_it_planned_goes_on_with_the_same_units(tmp_path):
    whole = planned(tmp_path / "whole")
    list(islice(planned_waves(str(tmp_path / "killed"), islice(slices(), 14), BOUND), 2))
    again = planned(tmp_path / "killed")
    assert [[unit.unit_id for unit in wave] for wave in again] == [[unit.unit_id for unit in wave] for wave in whole]


def test_the_footer_of_a_plan_file_names_its_units(tmp_path):
    waves = planned(tmp_path)
    assert read_plan_file(str(tmp_path), 0) == [unit for unit in waves[0] if unit.uri == waves[0][0].uri]


def test_the_second_wave_is_not_cut_before_the_first_is_taken(tmp_path):
    taken = []

    def counted():
        for number, rows in enumerate(slices()):
            taken.append(number)
            yield rows

    waves = planned_waves(str(tmp_path), counted(), BOUND)
    next(waves)
    assert len(taken) <= sum(SLICES_A_WAVE) + 1


def test_an_index_of_skipped_rows_alone_has_no_units(tmp_path):
    waves = planned_waves(str(tmp_path), iter([index_of(0), index_of(0)]), BOUND)
    assert [unit for wave in waves for unit in wave] == []


@pytest.mark.parametrize("size", [1, 7, 600])
def test_ids_are_unique_over_slices(tmp_path, size):
    index = index_of(60)
    parts = [index.slice(start, size) for start in range(0, 60, size)]
    ids = [unit.unit_id for wave in planned_waves(str(tmp_path), iter(parts), BOUND) for unit in wave]
    assert len(ids) == len(set(ids)) and np.all([len(name) == 16 for name in ids])
