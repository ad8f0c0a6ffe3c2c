"""S3 through s3fs: each request asked again by the rule of `retries.py`, each body whole before it is handed on.

s3fs and botocore below make one attempt each, so that attempts never multiply.
"""

import asyncio
import re
import time
from collections import defaultdict
from typing import Any

from fsspec.asyn import sync_wrapper
from s3fs import S3FileSystem
from s3fs.errors import translate_boto_error

from medray.errors import CredentialsError, UnavailableError
from medray.retries import (
    CREDENTIALS_CURE,
    PATIENCE_S,
    RENEW_EVERY_S,
    RENEWAL_S,
    Asking,
    Fault,
    Limit,
    ShortBodyError,
    driver_was_answered,
    fault_of,
)

S3_SETTINGS = {
    "connect_timeout": 3,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 1},
    "max_pool_connections": 64,
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
    "s3": {"addressing_style": "path"},
}
WINDOW_S, WINDOW_BYTES = 30.0, 2**20  # a body that brings less in this time is dropped, and asked for again
AWAY_CURE = "Check the network and the store: the same command goes on where it stopped."
ONE_PUT_BYTES = 5 * 2**30  # S3's limit
RANGE = re.compile(r"bytes[= ](\d+)-(\d*)(?:/(\d+))?")


class S3Store(S3FileSystem):
    """An S3 endpoint as an fsspec file system."""

    patience_s, renewal_s, window_s = PATIENCE_S, RENEWAL_S, WINDOW_S

    def __init__(self, **options: Any) -> None:
        super().__init__(config_kwargs=S3_SETTINGS, use_listings_cache=False, **options)
        self.retries = 1
        self._answered = self._trusted = driver_was_answered()
        self._renewed = -RENEW_EVERY_S
        self._limits: defaultdict[str, Limit] = defaultdict(Limit)
        self._last_read: dict[str, str] = {}

    async def _call_s3(self, method: str, *more: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        """One request, until it is answered; `Body` of a read is whole.

        Raises:
            CredentialsError, UnavailableError: the job cannot go on.
            OSError, botocore's errors: what is final for this object.
        """
        bucket, asking = arguments.get("Bucket", ""), Asking()
        while True:
            try:
                async with self._limits[bucket]:
                    return await self._ask(method, *more, **arguments)
            except Exception as error:
                pause = await self._judge(error, bucket, asking)
            await asyncio.sleep(pause)

    call_s3 = sync_wrapper(_call_s3)

    async def _ask(self, method: str, *more: dict[str, Any], **arguments: Any) -> dict[str, Any]:
        await self.set_session()
        bucket, body = arguments.get("Bucket"), arguments.get("Body", b"")
        call = getattr(await self.get_s3(bucket), method)
        size = len(body) if isinstance(body, bytes | bytearray | memoryview) else 0
        async with asyncio.timeout(self.window_s * (1 + size / WINDOW_BYTES)):
            answer: dict[str, Any] = await call(**self._get_s3_method_kwargs(call, *more, **arguments))
        self._answered = self._trusted = True
        if method == "get_object":
            answer["Body"] = _Whole(await self._whole_body(answer, arguments.get("Range", "")))
            self._last_read[str(bucket)] = arguments["Key"]
        for refused in answer.get("Errors", ()):  # of one key among those to be deleted
            raise _RefusedKeyError(refused, answer["ResponseMetadata"])
        return answer

    async def _whole_body(self, answer: dict[str, Any], asked: str) -> bytes:
        stream = answer["Body"]
        parts: list[bytes] = []
        try:
            while not parts or parts[-1]:
                async with asyncio.timeout(self.window_s):
                    parts.append(await _up_to(stream, WINDOW_BYTES))
        finally:
            stream.close()
        data = b"".join(parts)
        check_whole(len(data), answer, asked)
        return data

    async def _judge(self, error: Exception, bucket: str, asking: Asking) -> float:
        """Seconds until the request is made again; raises what ends it."""
        fault = fault_of(error)
        self._answered |= getattr(error, "response", None) is not None
        if fault is Fault.DENIED and bucket in self._last_read and await self._probe(bucket) in REFUSED:
            fault = Fault.EXPIRED  # what was handed out before is refused now
        if fault is Fault.EXPIRED:
            return await self._renew(error, bucket, asking)
        if fault in (Fault.DENIED, Fault.FINAL):
            raise translate_boto_error(error)
        if fault is Fault.BUSY:
            self._limits[bucket].halve()
        pause = asking.pause_s(self.patience_s, answered=self._answered)
        if pause is not None:
            return pause
        if self._answered and await self._probe(bucket) in (Fault.BUSY, Fault.BROKEN):
            what = f"s3://{bucket} has not answered for {self.patience_s:.0f} seconds ({_code(error)})."
            raise UnavailableError(what, AWAY_CURE) from None
        raise translate_boto_error(error)

    async def _probe(self, bucket: str) -> Fault | None:
        """What befalls a request that went well before: for the object that was read last, else for the bucket."""
        try:
            client, key = await self.get_s3(bucket), self._last_read.get(bucket)
            async with asyncio.timeout(self.window_s):
                await (client.head_object(Bucket=bucket, Key=key) if key else client.head_bucket(Bucket=bucket))
        except Exception as error:
            return fault_of(error)
        return None

    async def _renew(self, error: Exception, bucket: str, asking: Asking) -> float:
        """Go through the chain of credentials again; seconds until the request is made again."""
        pause: float | None = 0.0
        if asking.renewed:
            pause = asking.pause_s(self.renewal_s if self._trusted else 0.0, answered=True)
        if pause is None:
            what = f"s3://{bucket} may not be read or written ({_code(error)})."
            raise CredentialsError(what, CREDENTIALS_CURE) from None
        asking.renewed = True
        if time.monotonic() - self._renewed >= RENEW_EVERY_S:
            self._renewed = time.monotonic()
            try:
                await self.set_session(refresh=True)
            except Exception as failed:
                if fault_of(failed) is not Fault.EXPIRED:  # else the request says so itself
                    raise
        return pause

    async def _cat_file(
        self, path: str, version_id: str | None = None, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """An object or a range of it in one request."""
        bucket, key, _version = self.split_path(path)
        asked = {"Range": await self._process_limits(path, start, end)} if start or end is not None else {}
        answer = await self._call_s3("get_object", Bucket=bucket, Key=key, **asked)
        data: bytes = await answer["Body"].read()
        return data

    async def _pipe_file(self, path: str, data: bytes, **more: Any) -> None:
        """Write an object in one request, which can be made twice; the parts of an upload in several cannot."""
        await super()._pipe_file(path, data, **{**more, "chunksize": ONE_PUT_BYTES})


REFUSED = (Fault.DENIED, Fault.EXPIRED)


class _RefusedKeyError(Exception):
    """One key of several that were to be deleted; it looks like botocore's ClientError."""

    def __init__(self, refused: dict[str, Any], metadata: dict[str, Any]) -> None:
        super().__init__(refused.get("Code", ""))
        self.response = {"Error": refused, "ResponseMetadata": metadata}


class _Whole:
    """The body of an answer, read already; s3fs reads it as if it were the stream."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def read(self, *_: int) -> bytes:
        data, self.data = self.data, b""
        return data

    def close(self) -> None:
        pass


async def _up_to(stream: Any, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := await stream.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def check_whole(size: int, answer: dict[str, Any], asked: str) -> None:
    """Whether a body of `size` bytes is what its header says and what was asked for.

    Raises:
        ShortBodyError: it is shorter or longer than its Content-Length, or another range than the one asked for.
    """
    if size != answer.get("ContentLength", size):
        raise ShortBodyError(f"{size} bytes where {answer['ContentLength']} were promised")
    if not (wanted := RANGE.match(asked)) or not size:
        return
    given = RANGE.match(answer.get("ContentRange") or "")
    if given is None or given[3] is None:
        raise ShortBodyError("a body without its range")
    first, total = int(wanted[1]), int(given[3])
    last = min(int(wanted[2] or total), total - 1)
    if (int(given[1]), int(given[2]), size) != (first, last, last - first + 1):
        raise ShortBodyError("another range than the one asked for")


def _code(error: Exception) -> str:
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", "")) or type(error).__name__
