"""Ranged reads of stored objects: read-ahead, and parts of objects (shard members) that read like objects."""

import io
import zlib
from typing import Protocol, runtime_checkable

from medray import storage
from medray.errors import (
    AccessDeniedError,
    CredentialsError,
    NotFoundError,
    Reason,
    SampleError,
    StorageError,
    UnavailableError,
)

READ_AHEAD_AT_MOST = 4 * 2**20
INFLATED_AT_MOST = 2 * 2**30


@runtime_checkable
class Source(Protocol):
    """Bytes that can be read by range."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer where the source ends."""
        ...


def fetch(uri: str, offset: int, length: int) -> bytes:
    """A range of an object. What is wrong with the object costs its row; what is wrong with the store ends the job.

    Raises:
        SampleError: not_found, access_denied or read_failed; it names no object.
        CredentialsError, UnavailableError: no other object could be read either.
    """
    try:
        return storage.read_bytes(uri, offset, length)
    except (CredentialsError, UnavailableError):
        raise
    except NotFoundError:
        raise SampleError(Reason.NOT_FOUND) from None
    except AccessDeniedError:
        raise SampleError(Reason.ACCESS_DENIED) from None
    except (StorageError, OSError):
        raise SampleError(Reason.READ_FAILED) from None


class StoredSource:
    """A whole object. Each fetch is at least `window` bytes; reads that follow each other closely double it.

    Attributes:
        fetched: bytes fetched from the store so far.
    """

    def __init__(self, uri: str, size: int, window: int) -> None:
        self.uri, self.size, self.fetched = uri, size, 0
        self._first_window = self._window = max(window, 512)
        self._start, self._buffer = 0, b""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer where the object ends."""
        length = max(0, min(length, self.size - offset))
        if length and not self._holds(offset, length):
            self._fill(offset, length)
        start = offset - self._start
        return self._buffer[start : start + length] if length else b""

    def _holds(self, offset: int, length: int) -> bool:
        return self._start <= offset and offset + length <= self._start + len(self._buffer)

    def _fill(self, offset: int, length: int) -> None:
        end = self._start + len(self._buffer)
        if self._buffer and self._start <= offset <= end + self._window:
            self._window = min(self._window * 2, READ_AHEAD_AT_MOST)
        else:
            self._window = self._first_window
        kept = self._buffer[offset - self._start :] if self._start <= offset < end else b""
        needed = min(max(length, self._window), self.size - offset) - len(kept)
        more = fetch(self.uri, offset + len(kept), needed)
        self.fetched += len(more)
        self._start, self._buffer = offset, kept + more


class PartSource:
    """A range of another source, such as the stored member of a shard."""

    def __init__(self, whole: Source, offset: int, size: int) -> None:
        self.whole, self.offset, self.size = whole, offset, size

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer where the part ends."""
        return self.whole.read(self.offset + offset, max(0, min(length, self.size - offset)))


class InflatedSource:
    """The content of a deflated zip member, inflated only as far as it is read.

    Raises:
        SampleError: corrupt_container where it is no deflate stream.
    """

    def __init__(self, part: Source, size: int) -> None:
        self.part, self.size = part, size
        self._taken, self._inflated = 0, bytearray()
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer where the content ends."""
        end = min(offset + length, self.size)
        while len(self._inflated) < end and not self._stream.eof:
            taken = self._stream.unconsumed_tail
            if not taken:
                taken = self.part.read(self._taken, max(4096, (end - len(self._inflated)) // 2))
                self._taken += len(taken)
            if not taken:
                break
            try:
                self._inflated += self._stream.decompress(taken, end - len(self._inflated))
            except zlib.error:
                raise SampleError(Reason.CORRUPT_CONTAINER, "deflate stream") from None
        return bytes(self._inflated[offset:end])


def inflate(data: bytes) -> bytes:
    """A deflated zip member whole.

    Raises:
        SampleError: corrupt_container, or expansion_limit beyond 2 GiB.
    """
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, INFLATED_AT_MOST)
    except zlib.error:
        raise SampleError(Reason.CORRUPT_CONTAINER, "deflate stream") from None
    if not stream.eof:
        if stream.unconsumed_tail:
            raise SampleError(Reason.EXPANSION_LIMIT, f"more than {INFLATED_AT_MOST} bytes")
        raise SampleError(Reason.CORRUPT_CONTAINER, "deflate stream ends early")
    return inflated


class SeekableSource(io.RawIOBase):
    """A source as a file object, for readers that want one."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source, self.position = source, 0

    def seekable(self) -> bool:
        """Always."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position of the next read."""
        return self.position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position of the next read."""
        origin = (0, self.position, self.source.size)[whence]
        if origin + offset < 0:
            raise OSError("seek before the start")
        self.position = origin + offset
        return self.position

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes."""
        left = max(0, self.source.size - self.position)
        data = self.source.read(self.position, left if size is None or size < 0 else min(size, left))
        self.position += len(data)
        return data


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer where they end."""
        return self.data[offset : offset + length]
