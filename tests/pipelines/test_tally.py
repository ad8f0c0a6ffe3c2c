"""The sums of a run, with a clock that the test moves: rates, remaining time, shares, cost."""

import json

import pytest

from medray.pipelines.tally import Tally, in_words, summary_in_words
from medray.schema import STAGES


class Hands:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def unit(rows=10, failed=0, seconds=4.0, reason="corrupt_header", **stages):
    """A ledger row; what no stage names is `other`."""
    stage_seconds = dict.fromkeys(STAGES, 0.0) | stages
    stage_seconds["other"] += seconds - sum(took for name, took in stages.items() if name != "waiting")
    reasons = [(reason, failed)] if failed else []
    counts = {"rows": rows, "ok": rows - failed, "skipped": 0, "failed": failed, "reasons": reasons}
    return {"unit_id": "u", **counts, "seconds": seconds, "stage_seconds": stage_seconds, "bytes": rows * 1_000_000}


def run(*steps):
    """A tally of (seconds until it arrives, row)."""
    hands = Hands()
    tally = Tally(hands)
    for pause, row in steps:
        hands.now += pause
        tally.add(row)
    return tally, hands


def test_the_warm_rate_is_from_the_first_finished_unit_to_the_last_and_the_other_over_all_of_the_time():
    tally, hands = run((20, unit(rows=10)), (5, unit(rows=40)), (5, unit(rows=60)))
    hands.now += 10
    summary = tally.summary()
    assert summary["warm_images_per_s"] == 100 / 10
    assert summary["images_per_s"] == 110 / 40 and summary["seconds"] == 40
    assert summary["megabytes_per_s"] == 110 / 40 and summary["bytes"] == 110_000_000


def test_one_unit_has_no_warm_rate_and_no_unit_has_no_rate_and_no_words():
    assert run((3, unit()))[0].summary()["warm_images_per_s"] is None
    nothing = run()[0].summary(2.0)
    assert (nothing["images_per_s"], nothing["cost_per_1000_images"], nothing["bottleneck"]) == (0, None, None)
    assert summary_in_words(nothing) == []


def test_shares_are_of_work_and_waiting_and_sum_to_one():
    tally, _ = run((9, unit(seconds=4, decode=3, waiting=2)), (1, unit(seconds=4, decode=2, read=2, waiting=0)))
    assert tally.shares() == pytest.approx(
        {"waiting": 0.2, "read": 0.2, "decode": 0.5, "graph": 0, "forward": 0, "write": 0, "other": 0.1}
    )
    assert sum(tally.shares().values()) == pytest.approx(1)
    assert tally.bottleneck_in_words() == "decode 50%"


def test_workers_that_mostly_wait_are_what_holds_a_run_up():
    assert run((50, unit(decode=4, waiting=40)))[0].bottleneck_in_words() == "waiting for work 91%"


def test_what_a_worker_waited_before_the_job_began_is_not_the_jobs():
    assert run((5, unit(seconds=4, waiting=300)))[0].stage_seconds["waiting"] == 1


def test_the_rate_now_is_that_of_the_last_minute():
    tally, _ = run(*[(10, unit(rows=100, seconds=10))] * 12, *[(10, unit(rows=20, seconds=10))] * 12)
    assert tally.rate_now() == pytest.approx(2.0)
    assert tally.rate() == pytest.approx(6.0)


def test_failures_are_counted_by_reason_and_the_three_commonest_are_said():
    counts = {"corrupt_header": 1, "not_found": 9, "bad_voi": 3, "read_failed": 2}
    tally, _ = run(*((1, unit(failed=count, reason=reason)) for reason, count in counts.items()))
    assert tally.failed_in_words() == "15 failed (not_found 9, bad_voi 3, read_failed 2)"
    assert tally.summary()["failures"] == counts


def test_a_thousand_images_cost_the_price_of_the_seconds_that_they_took():
    tally, hands = run((100, unit(rows=500)), (100, unit(rows=500)))
    hands.now += 160  # the table is finished: the machines are paid for that too
    summary = tally.summary(price_per_hour=5.0)
    assert summary["cost_per_1000_images"] == 5.0 * 360 / 3600 == 0.5
    assert summary_in_words(summary) == [
        "1,000 images in 6:00: 2.8 images/s, warm 5.0; 1,000.0 MB read (2.8 MB/s); 0.5 per 1,000 images",
        "workers' time: other 100%",
    ]


def test_a_summary_is_json():
    summary = run((1, unit(failed=1)))[0].summary(1.0)
    assert json.loads(json.dumps(summary)) == summary


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0:00"), (42, "0:42"), (725, "12:05"), (11_400, "3:10:00"), (2 * 86_400 + 11_400, "2 days 3:10:00")],
)
def test_durations_in_words(seconds, words):
    assert in_words(seconds) == words
