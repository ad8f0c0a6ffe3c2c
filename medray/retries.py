"""What is asked for again of an object store, for how long, and how many requests may be under way at once.

One rule for reads, writes, lists and deletes; `s3.py` applies it to every request, and no layer above or below asks
again. Every request may be made twice: names and contents of what medray writes are fixed before.
"""

import asyncio
import os
import random
import time
from enum import StrEnum
from typing import Any

PATIENCE_S = 120.0  # after a request's first failure: a gateway that is away for a minute costs no row
FIRST_ANSWER_S = 5.0  # where the store has never answered: its address is wrong, and the user is told at once
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
MOST_AT_ONCE = 32
SETTLE_S = 1.0
ANSWERED = "MEDRAY_STORE_ANSWERED"  # set for the workers of a job whose driver has looked at its stores

RENEWAL_S, RENEW_EVERY_S = 30.0, 5.0  # credentials that were good may be renewed by another program, a little late

NO_BUCKET = "NoSuchBucket"
MISSING = (NO_BUCKET, "NoSuchKey", "404")
DENIED = ("AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem", "403")
EXPIRED = (
    *("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId"),
    *("InvalidClientTokenId", "SignatureDoesNotMatch"),
    "400",  # to a HEAD, whose answer has no body that could name the code
)
BUSY = ("SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded")
BROKEN = (
    "InternalError",
    "RequestTimeout",
    "IncompleteBody",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "OperationAborted",
)
FULL = ("QuotaExceeded", "InsufficientStorage", "EntityTooLarge", "507")
CREDENTIALS_CURE = (
    "Check the credentials (AWS_PROFILE, AWS_ACCESS_KEY_ID, instance role) and their rights; where they have expired, "
    "renew them: the same command goes on where it stopped."
)

# Classes of botocore's and aiohttp's errors by name: a job on a file system loads neither.
NO_CREDENTIALS = {
    *("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"),
    *("TokenRetrievalError", "SSOError", "NoAuthTokenError"),
}
NO_ANSWER = {"TimeoutError", "ReadTimeoutError"}
TORN = {"HTTPClientError", "IncompleteReadError", "ConnectionError", "ResponseParserError", "ClientError"}
_draw = random.SystemRandom()  # forked processes must not pause alike, and training owns the seeded generator


class Fault(StrEnum):
    """What is to be done about a request that failed."""

    BUSY = "busy"  # asked again, with fewer at once
    BROKEN = "broken"  # asked again
    EXPIRED = "expired"  # asked again with fresh credentials, then the job ends
    DENIED = "denied"  # final for this object, unless the credentials are good for nothing any more
    FINAL = "final"


def fault_of(error: BaseException) -> Fault:
    """The fault that an error of the S3 client, or an answer's error code and status, stand for."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    if response:
        code = str(response.get("Error", {}).get("Code", ""))
        return _fault_of_answer(code, int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)))
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & NO_CREDENTIALS:
        return Fault.EXPIRED
    if kinds & NO_ANSWER:
        return Fault.BUSY
    return Fault.BROKEN if kinds & TORN else Fault.FINAL


def _fault_of_answer(code: str, status: int) -> Fault:
    if code in FULL or status == 501:
        return Fault.FINAL
    if code in EXPIRED:
        return Fault.EXPIRED
    if code in DENIED or (status == 403 and code not in MISSING):
        return Fault.DENIED
    if code in BUSY or status in (429, 503):
        return Fault.BUSY
    return Fault.BROKEN if code in BROKEN or status >= 500 or status == 408 else Fault.FINAL


class ShortBodyError(ConnectionError):
    """A body that is not what was asked for: cut, or another range. It is asked for again."""


class Asking:
    """The attempts at one request.

    Attributes:
        renewed: fresh credentials have been tried.
    """

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.renewed = False
        self._failures, self._first_failure = 0, 0.0

    def pause_s(self, patience_s: float, *, answered: bool) -> float | None:
        """Seconds to wait after another failure, 0 to a bound that doubles; None where it is time to give up.

        Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
        """
        now = time.monotonic()
        self._first_failure = self._first_failure or now
        end = self._first_failure + patience_s if answered else self.started + FIRST_ANSWER_S
        if now >= end:
            return None
        pause = _draw.uniform(0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failures))
        self._failures += 1
        return min(pause, end - now)


class Limit:
    """How many requests to one bucket are under way: half as many where it is busy, one more a second that goes well.

    Attributes:
        allowed: requests at once, 1 to `MOST_AT_ONCE`.
    """

    def __init__(self) -> None:
        self.allowed = MOST_AT_ONCE
        self._under_way = 0
        self._halved = self._grown = -SETTLE_S
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._under_way < self.allowed)
            self._under_way += 1

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        async with self._changed:
            self._under_way -= 1
            now = time.monotonic()
            if kind is None and self.allowed < MOST_AT_ONCE and now - self._grown >= SETTLE_S:
                self.allowed, self._grown = self.allowed + 1, now
            self._changed.notify(2)

    def halve(self) -> None:
        """The store is busy. What was under way together is refused together, and halves the limit once."""
        now = time.monotonic()
        if now - self._halved >= SETTLE_S:
            self.allowed, self._halved, self._grown = max(1, self.allowed // 2), now, now


def driver_was_answered() -> bool:
    """Whether the driver of this process's job has had answers: then silence is an outage, no wrong address."""
    return ANSWERED in os.environ
