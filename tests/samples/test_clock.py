"""The clock of a unit: each second counts for one stage, and nothing is counted twice."""

import time

import pytest

from medray.samples.clock import STAGES, Taken, UnitClock, running, stage, unit_clock


class Hands:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def hands():
    return Hands()


@pytest.fixture
def job(request):
    return request.node.name


def spend(hands, seconds):
    hands.now += seconds


def test_an_inner_stage_stops_the_outer_ones_clock(hands, job):
    with unit_clock(job, hands) as unit:
        spend(hands, 1)
        with stage("decode"):
            spend(hands, 2)
            with stage("read"):
                spend(hands, 4)
            spend(hands, 8)
        spend(hands, 16)
    assert unit.seconds == dict.fromkeys(STAGES, 0.0) | {"other": 17, "decode": 10, "read": 4}
    assert unit.taken().busy_seconds() == 31


def test_seconds_of_another_process_are_taken_from_the_stage_that_waited_for_it(hands, job):
    with unit_clock(job, hands) as unit, stage("decode"):
        spend(hands, 5)
        running().lend("read", 3)
    assert (unit.seconds["read"], unit.seconds["decode"], unit.taken().busy_seconds()) == (3, 2, 5)


def test_waiting_is_what_lies_between_two_units_of_a_job_and_not_the_start_of_the_worker(hands, job):
    with unit_clock(job, hands) as first:
        spend(hands, 1)
    spend(hands, 7)
    with unit_clock(job, hands) as second:
        spend(hands, 2)
    spend(hands, 9)
    with unit_clock("another job", hands) as other:
        pass
    assert [unit.seconds["waiting"] for unit in (first, second, other)] == [0, 7, 0]
    assert sum(second.seconds.values()) == 7 + 2


def test_what_ran_when_an_error_came_is_counted_and_the_clock_of_the_next_unit_is_new(hands, job):
    with pytest.raises(ValueError), unit_clock(job, hands) as failed, stage("forward"):
        spend(hands, 3)
        raise ValueError
    with unit_clock(job, hands) as unit, stage("write"):
        spend(hands, 1)
    assert (failed.seconds["forward"], unit.seconds["forward"], unit.seconds["write"]) == (3, 0, 1)


def test_seconds_of_an_earlier_worker_are_added(hands):
    first, unit = UnitClock(hands), UnitClock(hands)
    first.bytes_read = 7
    first.seconds["waiting"] = 9.0
    first.switch("decode")
    spend(hands, 3)
    unit.add(Taken.unpacked(first.taken().packed()))
    taken = unit.taken()
    assert (taken.seconds["decode"], taken.seconds["waiting"], taken.bytes_read) == (3, 0, 7)
    assert taken.busy_seconds() == 6


def test_what_was_taken_is_counted_once(hands):
    unit = UnitClock(hands)
    for seconds in (1, 2):
        spend(hands, seconds)
        assert unit.taken().seconds["other"] == seconds


def test_a_stage_outside_of_a_unit_measures_nothing_and_costs_microseconds():
    started = time.perf_counter()
    for _ in range(10_000):
        with stage("read"):
            pass
    assert time.perf_counter() - started < 1.0  # 0.02 s on an idle core
    assert running().seconds["read"] == 0
