"""Objects to one tar shard, and the index rows of the shard and its members."""

import hashlib
import tarfile
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray.archive.checksums import crc32
from medray.archive.fetching import READ_COLUMNS, read_objects
from medray.archive.identity import keyed_hash, seal
from medray.archive.rows import EMPTY_ROW, rows_to_table
from medray.archive.uploads import ObjectWriter, new_object
from medray.errors import Reason, SampleError
from medray.schema import INDEX

EXTENSIONS = {"dicom": "dcm", "png": "png", "jpeg": "jpg", "tiff": "tif"}
PLACE = ("uri", "member", "offset", "length", "compression", "etag", "checksum")
OUTCOME = ("status", "reason", "detail")
SHA256 = "sha256:"


@dataclass
class _Tar:
    """A tar (POSIX ustar) in the making: where its next byte goes, and the SHA-256 of those before."""

    writer: ObjectWriter
    length: int = 0

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256()

    def add(self, name: str, content: bytes) -> int:
        """Append a member, always with the same owner and time; the offset of its first byte."""
        member = tarfile.TarInfo(name)
        member.size = len(content)
        self._write(member.tobuf(tarfile.USTAR_FORMAT))
        offset = self.length
        self._write(content)
        self._write(bytes(-len(content) % tarfile.BLOCKSIZE))
        return offset

    def end(self) -> None:
        """The two empty blocks, and those that fill a record."""
        self._write(bytes(2 * tarfile.BLOCKSIZE))
        self._write(bytes(-self.length % tarfile.RECORDSIZE))

    def _write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.writer.write(data)
        self.length += len(data)


def write_shard(rows: pa.Table, key: bytes, uri: str, *, sealed: bool = True) -> pa.Table:
    """Read objects and write them as one tar shard, in memory that does not grow with the shard.

    Members are named `<object_id>.<extension>` (a key and an extension, as WebDataset wants them), so no name of a
    patient goes into the shard's directory. What cannot be read gets no member: its row stays at its old place and says
    why. The same rows and bytes give the same shard, byte for byte; a reader sees all of it or nothing.

    Args:
        rows: rows of schema.INDEX, in the order of the members.
        key: unseals and seals names.
        uri: where the shard will lie.
        sealed: whether the new rows' names are encrypted.

    Returns:
        Rows of schema.INDEX: the shard's own first (none where nothing could be read, and no shard then), then those
        given, whose place (uri, member, offset, length, compression, etag, checksum) is the new one.

    Raises:
        StorageError: the shard cannot be written.
    """
    name_of = (lambda text: seal(key, text)) if sealed else (lambda text: text)
    wanted = rows.select([*READ_COLUMNS, "format", "etag", *OUTCOME]).to_pylist()
    with new_object(uri) as writer:
        tar = _Tar(writer)
        for row, content in zip(wanted, read_objects(wanted, key), strict=True):
            row |= _lost(content) if isinstance(content, SampleError) else _packed(tar, row, content)
        members = [row for row in wanted if "packed" in row]
        if not members:
            return _moved(rows, wanted)
        tar.end()
        etag = writer.publish()
    shard_uri = name_of(uri)
    for row in members:
        row |= {"uri": shard_uri, "member": name_of(row["packed"]), "etag": etag}
    return pa.concat_tables([_own_row(tar, key, uri, shard_uri, etag), _moved(rows, wanted)])


def _lost(error: SampleError) -> dict[str, Any]:
    return {"status": "failed", "reason": error.reason.value, "detail": error.detail or None}


def _packed(tar: _Tar, row: dict[str, Any], content: bytes) -> dict[str, Any]:
    name = f"{row['object_id']}.{EXTENSIONS[row['format']]}"
    place = {"offset": tar.add(name, content), "length": len(content), "compression": None}
    return {"packed": name, **place, "checksum": crc32(content)}


def _own_row(tar: _Tar, key: bytes, uri: str, shard_uri: str, etag: str) -> pa.Table:
    """The shard's row, as the index of an archive has one for each container."""
    outcome = {"status": "skipped", "reason": Reason.CONTAINER.value, "format": "tar", "flags": []}
    place = {"uri": shard_uri, "offset": 0, "length": tar.length, "etag": etag}
    name = keyed_hash(key, uri.rpartition("/")[2])
    checksum = f"{SHA256}{tar.sha256.hexdigest()}"
    return rows_to_table([{**EMPTY_ROW, "object_id": name, **place, "checksum": checksum, **outcome, "bytes_read": 0}])


def _moved(rows: pa.Table, places: list[dict[str, Any]]) -> pa.Table:
    """The rows with the places and outcomes of these records."""
    for name in (*PLACE, *OUTCOME):
        field = INDEX.field(name)
        rows = rows.set_column(
            rows.column_names.index(name), field, pa.array([row[name] for row in places], field.type)
        )
    return rows.select(INDEX.names).cast(INDEX)


def parted(rows: pa.Table) -> tuple[dict[str, Any] | None, pa.Table, pa.Table]:
    """What `write_shard` returned: the shard's own row (or None), the rows of its members, and those left unread."""
    first = rows.slice(0, 1).to_pylist()[0]
    if not (first["checksum"] or "").startswith(SHA256):
        return None, rows.slice(0, 0), rows
    inside = pc.equal(rows["uri"], first["uri"])
    return first, rows.filter(inside).slice(1), rows.filter(pc.invert(inside))
