import random
import zlib

import pytest

from medray import storage
from medray.archive import sources
from medray.archive.sources import BytesSource, InflatedSource, PartSource, SeekableSource, StoredSource, fetch, inflate
from medray.errors import AccessDeniedError, NotFoundError, Reason, SampleError, StorageError


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def test_ranged_reads_give_the_object_whatever_their_order(tmp_path):
    data = random.Random(0).randbytes(50_000)
    (tmp_path / "o").write_bytes(data)
    source = StoredSource(str(tmp_path / "o"), len(data), 1024)
    draw = random.Random(1)
    for _ in range(500):
        offset, length = draw.randrange(51_000), draw.randrange(4000)
        assert source.read(offset, length) == data[offset : offset + length]


def test_reading_in_order_fetches_each_byte_once_with_growing_reads(tmp_path, monkeypatch):
    (tmp_path / "o").write_bytes(bytes(1_000_000))
    calls = []
    read = storage.read_bytes
    monkeypatch.setattr(storage, "read_bytes", lambda *args: calls.append(args) or read(*args))
    source = StoredSource(str(tmp_path / "o"), 1_000_000, 1024)
    assert sum(len(source.read(offset, 100)) for offset in range(0, 1_000_000, 100)) == 1_000_000
    assert source.fetched == 1_000_000
    assert len(calls) < 20


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NotFoundError("CANARY"), Reason.NOT_FOUND),
        (AccessDeniedError("CANARY"), Reason.ACCESS_DENIED),
        (StorageError("CANARY"), Reason.READ_FAILED),
    ],
)
def test_what_is_unreadable_has_a_reason_and_no_name_and_is_asked_for_once(monkeypatch, error, reason):
    """Whether it is worth to ask again is known, and done, in `medray.s3` alone."""
    seen = []

    def read(*args):
        seen.append(args)
        raise error

    monkeypatch.setattr(storage, "read_bytes", read)
    with pytest.raises(SampleError) as caught:
        fetch("s3://bucket/CANARY", 0, 5)
    assert caught.value.reason is reason and len(seen) == 1 and "CANARY" not in str(caught.value)


def test_an_inflated_member_reads_as_its_content():
    data = random.Random(2).randbytes(20_000) + bytes(100_000)
    source = InflatedSource(BytesSource(deflated(data)), len(data))
    assert source.read(0, 10) == data[:10]
    assert source.read(19_990, 50_000) == data[19_990:69_990]
    assert source.read(0, 10**7) == data


def test_a_part_ends_where_it_ends():
    part = PartSource(BytesSource(b"0123456789"), 2, 4)
    assert part.read(0, 100) == b"2345" and part.read(3, 100) == b"5" and part.read(9, 1) == b""


@pytest.mark.parametrize(("data", "reason"), [(deflated(b"x" * 99)[:-2], "early"), (b"\xff\xff\xff", "stream")])
def test_a_broken_deflate_stream_is_a_corrupt_container(data, reason):
    with pytest.raises(SampleError, match=reason) as caught:
        inflate(data)
    assert caught.value.reason is Reason.CORRUPT_CONTAINER


def test_inflating_stops_at_the_limit(monkeypatch):
    monkeypatch.setattr(sources, "INFLATED_AT_MOST", 1000)
    with pytest.raises(SampleError) as caught:
        inflate(deflated(bytes(5000)))
    assert caught.value.reason is Reason.EXPANSION_LIMIT


def test_a_source_seeks_like_a_file():
    file = SeekableSource(BytesSource(b"0123456789"))
    file.seek(-3, 2)
    assert file.read(2) == b"78" and file.tell() == 9 and file.read() == b"9" and file.read(1) == b""
