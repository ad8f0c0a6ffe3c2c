"""The load counter: warm actors load once, and a reload or a restart shows."""

from dataclasses import dataclass

from medray.pipelines.warmth import warmth


@dataclass(frozen=True)
class _Member:
    own_id: str


@dataclass(frozen=True)
class _Plan:
    members: tuple[_Member, ...] = (_Member("a"), _Member("b"))


def _rows(*rows):
    return [dict(zip(("actor", "process", "loads"), row, strict=True)) for row in rows]


def test_two_warm_actors_loaded_each_bundle_twice_whatever_they_scored():
    ledger = _rows(*[("x", "1", [1, 1])] * 5, *[("y", "2", [1, 1])] * 3)
    assert warmth(ledger, _Plan()) == {"actors": 2, "restarts": 0, "model_loads": {"a": 2, "b": 2}}


def test_an_actor_that_was_started_again_loaded_again():
    ledger = _rows(("x", "1", [1, 1]), ("x", "3", [1, 1]), ("y", "2", [1, 1]))
    assert warmth(ledger, _Plan()) == {"actors": 2, "restarts": 1, "model_loads": {"a": 3, "b": 3}}


def test_a_model_that_is_loaded_for_each_unit_is_no_warm_one():
    found = warmth(_rows(("x", "1", [1, 1]), ("x", "1", [2, 1]), ("x", "1", [3, 1])), _Plan())
    assert found["model_loads"] == {"a": 3, "b": 1} and found["actors"] + found["restarts"] == 1


def test_a_run_that_scored_nothing_loaded_nothing():
    assert warmth([], _Plan()) == {"actors": 0, "restarts": 0, "model_loads": {"a": 0, "b": 0}}
