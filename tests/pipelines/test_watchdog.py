"""A unit that stands still is named once, after its time; a job in which nothing gets on ends and says where."""

import time

import pytest

from medray.errors import MedrayError
from medray.pipelines import watchdog
from medray.pipelines.watch import UnitWatch, is_taken_apart
from medray.pipelines.watchdog import Standstill, watched_ledger
from medray.settings import RaySettings


def _record(beats=1, stage="forward", worker="a", tries=1):
    return {"worker": worker, "tries": tries, "stage": stage, "beats": beats, "pid": 1}


def _standstill():
    return Standstill("score", stalled_s=10, no_progress_s=30, now=0.0)


def test_a_unit_is_named_once_with_its_stage_when_its_heartbeat_stays_the_same_for_that_long():
    still, records = _standstill(), {"unit/0a": _record()}
    said = [still.look(records, now) for now in (0, 5, 9.9, 10, 15, 29)]
    assert said == [[], [], [], ["score: unit 0a (at 'forward') has stood still for 10 s"], [], []]


@pytest.mark.parametrize("change", [{"beats": 2}, {"stage": "write"}, {"tries": 2}])
def test_any_change_of_the_heartbeat_is_a_sign_of_life(change):
    still = _standstill()
    assert still.look({"unit/0a": _record()}, 0) == still.look({"unit/0a": _record(**change)}, 9) == []
    assert still.look({"unit/0a": _record(**change)}, 18) == []
    assert len(still.look({"unit/0a": _record(**change)}, 19)) == 1


def test_a_dead_worker_s_unit_is_not_named_while_its_actor_works_on_another():
    still = _standstill()
    still.look({"unit/0a": _record()}, 0)
    for now in range(1, 60):
        assert still.look({"unit/0a": _record(), "unit/0b": _record(beats=now)}, now) == []
    assert still.verdict(60) is None


def test_units_of_other_workers_do_not_hide_the_one_that_stands_still():
    still = _standstill()
    lines = []
    for now in range(40):
        lines += still.look({"unit/0a": _record(), "unit/0b": _record(worker="b", beats=now)}, now)
    assert lines == ["score: unit 0a (at 'forward') has stood still for 10 s"]
    assert still.verdict(40) is None  # the other gets on


def test_the_job_ends_when_no_heartbeat_changes_and_no_unit_finishes():
    still = _standstill()
    still.look({"prepare/0a": _record(stage="graph")}, 0)
    assert still.verdict(29) is None
    still.progress(29)
    assert still.verdict(58) is None
    assert still.verdict(59) == "The stage 'score' made no progress for 30 s: unit 0a (at 'graph')."


def test_a_job_whose_workers_never_begin_ends_too():
    assert _standstill().verdict(30) == "The stage 'score' made no progress for 30 s, and no unit was under way."


class _Silent(UnitWatch):
    """Units that stand still from the start."""

    def records(self):
        return {"unit/0a": _record()}

    def forget(self):
        pass


def _never(dataset, stage):
    yield {"unit_id": "0b"}
    time.sleep(60)


def test_the_main_thread_is_interrupted_with_the_verdict_and_ctrl_c_stays_what_it_is(monkeypatch, capsys):
    monkeypatch.setattr(watchdog, "ledger_of", _never)
    watch = _Silent(RaySettings(stalled_s=0.5, no_progress_s=1))
    ledger = watched_ledger(None, "score", watch)
    assert next(ledger) == {"unit_id": "0b"}
    with pytest.raises(MedrayError, match=r"no progress for 1 s: unit 0a \(at 'forward'\)\. Finished units are kept"):
        next(ledger)
    assert "score: unit 0a (at 'forward') has stood still for" in capsys.readouterr().err
    ledger = watched_ledger(None, "score", _Silent(RaySettings()))
    next(ledger)
    with pytest.raises(KeyboardInterrupt):
        ledger.throw(KeyboardInterrupt)


def test_a_unit_is_taken_apart_at_its_last_retry_and_never_without_retries():
    assert [is_taken_apart(died, RaySettings(max_retries=3)) for died in range(5)] == [False] * 3 + [True] * 2
    assert not any(is_taken_apart(died, RaySettings(max_retries=0)) for died in range(5))


def test_ray_s_own_bounds_are_finite_and_lie_beyond_those_of_the_watch():
    bounds = UnitWatch(RaySettings(max_retries=3)).for_ray(100)
    assert 600 <= bounds.max_retries < 1000 and bounds.no_progress_s == -1
    assert UnitWatch(RaySettings(max_retries=0)).for_ray(100).max_retries == 0
