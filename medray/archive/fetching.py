"""The bytes of index rows: near members of one shard in few large reads, loose objects a few at a time."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from medray.archive.checksums import crc32
from medray.archive.identity import unseal
from medray.archive.sources import fetch, inflate
from medray.errors import Reason, SampleError

Row = dict[str, Any]
Result = bytes | SampleError

RUN_BYTES = 16 * 2**20
GAP_BYTES = 64 * 2**10
THREADS = 8
AHEAD_BYTES = THREADS * RUN_BYTES
READ_COLUMNS = ("object_id", "uri", "member", "offset", "length", "compression", "checksum")


@dataclass(frozen=True)
class _Run:
    """Rows that one range read brings."""

    uri: str
    offset: int
    length: int
    rows: tuple[Row, ...]


def read_object(row: Row, key: bytes) -> bytes:
    """The bytes of one index row, inflated where they are compressed.

    Raises:
        SampleError: not_found, access_denied, read_failed, changed_since_index, corrupt_container, expansion_limit.
    """
    result = next(read_objects([row], key))
    if isinstance(result, SampleError):
        raise result
    return result


def read_objects(rows: list[Row], key: bytes) -> Iterator[Result]:
    """The bytes of each row, in the rows' order; a SampleError in place of those that cannot be read.

    At most eight reads are under way, and of at most 128 MiB, or of one object that is larger. Bytes that are not those
    that were packed are fetched once more, and then given up.
    """
    runs = list(_runs(rows, key))
    if len(runs) == 1:
        yield from _read_run(runs[0])
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="medray-read") as pool:
        waiting: deque[tuple[Future[list[Result]], int]] = deque()
        ahead = 0
        try:
            for run in runs:
                while waiting and (len(waiting) >= THREADS or ahead + run.length > AHEAD_BYTES):
                    future, length = waiting.popleft()
                    yield from future.result()
                    ahead -= length
                waiting.append((pool.submit(_read_run, run), run.length))
                ahead += run.length
            while waiting:
                yield from waiting.popleft()[0].result()
        finally:
            for future, _ in waiting:
                future.cancel()


def _runs(rows: list[Row], key: bytes) -> Iterator[_Run]:
    """Consecutive rows whose members lie close together in one shard, as runs."""
    group: list[Row] = []
    for row in rows:
        if group and not _joins(group, row):
            yield _run(group, key)
            group = []
        group.append(row)
    if group:
        yield _run(group, key)


def _joins(group: list[Row], row: Row) -> bool:
    last, first = group[-1], group[0]
    if row["member"] is None or last["member"] is None or row["uri"] != last["uri"]:
        return False
    gap: int = row["offset"] - last["offset"] - last["length"]
    together: int = row["offset"] + row["length"] - first["offset"]
    return 0 <= gap <= GAP_BYTES and together <= RUN_BYTES


def _run(group: list[Row], key: bytes) -> _Run:
    start = group[0]["offset"]
    uri = unseal(key, group[0]["uri"])
    return _Run(uri, start, group[-1]["offset"] + group[-1]["length"] - start, tuple(group))


def _read_run(run: _Run) -> list[Result]:
    loose = run.rows[0]["member"] is None
    try:
        data = fetch(run.uri, run.offset, run.length + 1 if loose else run.length)  # one more shows that it grew
    except SampleError as error:
        return [error] * len(run.rows)
    if loose:
        return [data if len(data) == run.length else _changed(len(data), run.length)]
    starts = [row["offset"] - run.offset for row in run.rows]
    return [_member(run, row, data[at : at + row["length"]]) for row, at in zip(run.rows, starts, strict=True)]


def _member(run: _Run, row: Row, data: bytes) -> Result:
    if len(data) != row["length"]:
        return _changed(len(data), row["length"])
    try:
        if row["checksum"] is not None and row["checksum"] != crc32(data):
            data = _fetched_again(run, row)
        return inflate(data) if row["compression"] == "deflate" else data
    except SampleError as error:
        return error


def _fetched_again(run: _Run, row: Row) -> bytes:
    """The member whose checksum is wrong, fetched alone.

    Raises:
        SampleError: checksum_mismatch; its detail names the shard, whose name is medray's own.
    """
    data = fetch(run.uri, row["offset"], row["length"])
    if (found := crc32(data)) != row["checksum"]:
        shard = run.uri.rpartition("/")[2]
        raise SampleError(Reason.CHECKSUM_MISMATCH, f"{shard} at {row['offset']}: {found}, packed {row['checksum']}")
    return data


def _changed(found: int, expected: int) -> SampleError:
    more = "more than " if found > expected else ""
    return SampleError(Reason.CHANGED_SINCE_INDEX, f"{more}{min(found, expected)} bytes where {expected} were")
