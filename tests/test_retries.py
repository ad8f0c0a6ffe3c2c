"""What is asked for again, how long, and how many at once."""

import asyncio
import time

import pytest
from botocore import exceptions as boto

from medray import retries
from medray.retries import MOST_AT_ONCE, Asking, Fault, Limit, fault_of


def _answer(code, status):
    return boto.ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject")


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (_answer("SlowDown", 503), Fault.BUSY),
        (_answer("503", 503), Fault.BUSY),
        (_answer("TooManyRequests", 429), Fault.BUSY),
        (TimeoutError(), Fault.BUSY),
        (_answer("InternalError", 500), Fault.BROKEN),
        (_answer("InternalError", 200), Fault.BROKEN),
        (_answer("RequestTimeout", 400), Fault.BROKEN),
        (_answer("502", 502), Fault.BROKEN),
        (ConnectionResetError(), Fault.BROKEN),
        (boto.EndpointConnectionError(endpoint_url="x"), Fault.BROKEN),
        (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), Fault.BROKEN),
        (_answer("ExpiredToken", 400), Fault.EXPIRED),
        (_answer("InvalidAccessKeyId", 403), Fault.EXPIRED),
        (boto.NoCredentialsError(), Fault.EXPIRED),
        (_answer("AccessDenied", 403), Fault.DENIED),
        (_answer("403", 403), Fault.DENIED),
        (_answer("NoSuchKey", 404), Fault.FINAL),
        (_answer("404", 404), Fault.FINAL),
        (_answer("InvalidRange", 416), Fault.FINAL),
        (_answer("NotImplemented", 501), Fault.FINAL),
        (_answer("InsufficientStorage", 507), Fault.FINAL),
        (ValueError(), Fault.FINAL),
    ],
)
def test_each_error_has_its_fault(error, fault):
    assert fault_of(error) is fault


def test_pauses_are_drawn_below_a_bound_that_doubles_to_five_seconds():
    drawn = []
    for _ in range(200):
        asking = Asking()
        drawn.append([asking.pause_s(1000, answered=True) for _ in range(10)])
    for failures, pauses in enumerate(zip(*drawn, strict=True)):
        bound = min(5.0, 0.1 * 2**failures)
        assert 0.85 * bound < max(pauses) <= bound and min(pauses) < 0.15 * bound


def test_patience_counts_from_the_first_failure_and_not_from_the_start(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    asking = Asking()
    now[0] = 500.0  # a long read that broke
    assert asking.pause_s(120, answered=True) is not None
    now[0] = 619.0
    assert asking.pause_s(120, answered=True) <= 1.0
    now[0] = 620.0
    assert asking.pause_s(120, answered=True) is None


def test_a_store_that_never_answered_gets_five_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    asking = Asking()
    assert asking.pause_s(120, answered=False) is not None
    now[0] = 105.0
    assert asking.pause_s(120, answered=False) is None


def test_the_limit_halves_once_for_requests_that_were_refused_together_and_never_below_one(monkeypatch):
    now, limit = [100.0], Limit()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(20):
        limit.halve()
    assert limit.allowed == MOST_AT_ONCE / 2
    for _ in range(10):
        now[0] += retries.SETTLE_S + 0.1
        limit.halve()
    assert limit.allowed == 1


def test_each_second_that_goes_well_allows_one_request_more_up_to_the_most(monkeypatch):
    now, limit = [100.0], Limit()
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limit.halve()

    async def succeed(times):
        for _ in range(times):
            async with limit:
                pass
        return limit.allowed

    assert asyncio.run(succeed(50)) == MOST_AT_ONCE / 2
    now[0] += retries.SETTLE_S
    assert asyncio.run(succeed(50)) == MOST_AT_ONCE / 2 + 1
    for _ in range(100):
        now[0] += retries.SETTLE_S
        asyncio.run(succeed(1))
    assert limit.allowed == MOST_AT_ONCE


def test_no_more_requests_are_under_way_than_the_limit_allows():
    async def run():
        limit, under_way, seen = Limit(), 0, []
        limit.allowed, limit._grown = 3, time.monotonic()

        async def request():
            nonlocal under_way
            async with limit:
                under_way += 1
                seen.append((under_way, limit.allowed))
                await asyncio.sleep(0.001)
                under_way -= 1

        await asyncio.gather(*(request() for _ in range(100)))
        return seen

    seen = asyncio.run(run())
    assert len(seen) == 100 and all(under_way <= allowed for under_way, allowed in seen)
    assert max(under_way for under_way, _ in seen) >= 3
