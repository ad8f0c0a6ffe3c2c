"""One stored object to its rows of the index: one for a loose object; for a shard one of its own and one a member.

Only headers are read. Nothing that an object holds can raise here: what is wrong with it stands in its row. A store
that gives nothing any more ends the job.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from medray import storage
from medray.archive.codestreams import native_syntax
from medray.archive.containers import Member, list_members
from medray.archive.elements import UNDEFINED
from medray.archive.frames import frame_bits
from medray.archive.headers import DEFLATED, Header, RefusedError, read_header
from medray.archive.identity import keyed_hash, seal
from medray.archive.images import image_fields
from medray.archive.pixel_module import FLOAT_BITS, SAMPLES_AT_MOST
from medray.archive.rows import EMPTY_ROW, INDEX_TAGS, Row, dicom_fields, rows_to_table, sop_class_uid, within_columns
from medray.archive.sniffing import BYTES_NEEDED, COMPRESSED, inside_gzip, sniff
from medray.archive.sources import InflatedSource, PartSource, Source, StoredSource
from medray.errors import Reason, SampleError, StorageError
from medray.settings import IndexSettings

HEADER_AT_MOST = 64 * 2**20
REFUSED_AT_MOST = 4 * 2**20  # what neither reader understands is read on this far, since a cut can be the cause
CONTAINERS_DEEP = 2
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
STORAGE_CLASSES = "1.2.840.10008.5.1.4.1.1."
NON_IMAGE_FAMILIES = ("9.", "11.", "88.", "104.")  # waveforms, presentation states, reports, documents
NON_IMAGE_CLASSES = ("66", "66.1", "66.2", "66.3", "66.5", "66.6", "67", *(f"481.{n}" for n in range(3, 10)))
FIRST_DATA_TAG = 0x00080000
SPECTROSCOPY_CLASS = "1.2.840.10008.5.1.4.1.1.4.2"  # has Rows and Columns, but no pixels

Outcome = tuple[str, Reason | None, str]
OK: Outcome = ("ok", None, "")


@dataclass(frozen=True)
class _Place:
    """Where bytes are: path in the archive, source, and what the row says of both."""

    path: str
    source: Source
    row: Row
    depth: int = 0


def index_object(stored: storage.StoredObject, key: bytes, settings: IndexSettings) -> list[Row]:
    """Rows of schema.INDEX for one object of a listing, the object's own first. It never raises for a bad object."""
    stored_source = StoredSource(stored.uri, stored.size, settings.header_bytes)
    indexer = _Indexer(stored_source, key, settings)
    row = EMPTY_ROW | {"uri": indexer.named(stored.uri), "etag": stored.etag, "offset": 0, "length": stored.size}
    return list(indexer.rows(_Place(stored.path, stored_source, row)))


class _Indexer:
    def __init__(self, stored: StoredSource, key: bytes, settings: IndexSettings) -> None:
        self.stored, self.key, self.settings = stored, key, settings

    def named(self, name: str) -> str:
        """An object's name as the table shows it; a plain one that is no valid UTF-8 is sealed all the same."""
        if self.settings.paths == "plain" and name.isprintable():
            return name
        return seal(self.key, name)

    def rows(self, place: _Place) -> Iterator[Row]:
        before = self.stored.fetched
        members: list[Row] = []
        fields: Row = {}
        try:
            head = place.source.read(0, BYTES_NEEDED)
            format = sniff(head)
            if format in ("tar", "zip"):
                fields = {"format": format}
                members.extend(self._members(place, format))
                outcome: Outcome = ("skipped", Reason.CONTAINER, "")
            else:
                fields, outcome = self._fields(place.source, format, head)
        except SampleError as error:
            outcome = ("failed", error.reason, error.detail)
        except StorageError:  # the store's: no other object could be read either
            raise
        except Exception as error:  # a defect of ours costs one row, and the row says so
            outcome = ("failed", Reason.INTERNAL, type(error).__name__)
        read = self.stored.fetched - before - sum(row["bytes_read"] for row in members)
        yield self._row(place, fields, outcome, read)
        yield from members

    def _row(self, place: _Place, fields: Row, outcome: Outcome, read: int) -> Row:
        object_id = keyed_hash(self.key, place.path)
        row = place.row | fields | {"object_id": object_id, "bytes_read": read}
        flags = [*(place.row["flags"] or ()), *fields.get("flags", ())]
        if row["patient_key"] is None and outcome[0] == "ok":
            row["patient_key"] = object_id
            flags.append("patient_unknown")
        status, reason, detail = outcome
        outcome_of_row = {"status": status, "reason": reason and reason.value, "detail": detail or None}
        return within_columns(row | outcome_of_row | {"flags": flags})

    def _members(self, place: _Place, format: str) -> Iterator[Row]:
        if place.depth >= CONTAINERS_DEEP:
            raise SampleError(Reason.NESTED_TOO_DEEP, f"{CONTAINERS_DEEP} containers inside each other at the most")
        seen: Counter[str] = Counter()
        for member in list_members(place.source, format):
            seen[member.name] += 1
            yield from self._member(place, member, seen[member.name])

    def _member(self, place: _Place, member: Member, occurrence: int) -> Iterator[Row]:
        name = member.name if occurrence == 1 else f"{member.name}#{occurrence}"
        inner = f"{place.row['member']}/{name}" if place.depth else name
        part = PartSource(place.source, member.offset, member.length)
        row = EMPTY_ROW | {
            "uri": place.row["uri"],
            "etag": place.row["etag"],
            "member": inner,
            "offset": place.row["offset"] + member.offset,
            "length": member.length,
            "compression": "deflate" if member.deflated else None,
            "flags": ["duplicate_name"] if occurrence > 1 else None,
        }
        source = InflatedSource(part, member.size) if member.deflated else part
        depth = place.depth + 1 if not member.deflated else CONTAINERS_DEEP
        inside = _Place(f"{place.path}/{name}", source, row, depth)
        if member.problem or member.links:
            outcome = ("failed", *member.problem) if member.problem else ("skipped", Reason.NOT_AN_IMAGE, "link")
            found = iter([self._row(inside, {}, outcome, 0)])
        else:
            found = self.rows(inside)
        for member_row in found:
            yield member_row | ({"member": self.named(member_row["member"])} if place.depth == 0 else {})

    def _fields(self, source: Source, format: str | None, head: bytes) -> tuple[Row, Outcome]:
        if source.size == 0:
            return {}, ("skipped", Reason.EMPTY_OBJECT, "")
        if format in COMPRESSED:
            return {}, _compressed(format, head)
        if format in ("png", "jpeg", "tiff"):
            fields = image_fields(source, format) | {"format": format}
            return fields, _image_outcome(fields)
        if format in ("dicom", "dicom_bare"):
            return self._dicom(source, bare=format == "dicom_bare")
        return {}, ("skipped", Reason.NOT_AN_IMAGE, "")

    def _dicom(self, source: Source, bare: bool) -> tuple[Row, Outcome]:
        try:
            header = read_whole_header(source, self.settings.header_bytes)
        except RefusedError:
            if bare:
                return {}, ("skipped", Reason.NOT_AN_IMAGE, "")
            return {"format": "dicom"}, ("failed", Reason.CORRUPT_HEADER, "no DICOM data set")
        fields = dicom_fields(header, self.key) | {"format": "dicom"}
        if bare and not (fields["sop_class_uid"] or fields["rows"] or fields["modality"]):
            return {}, ("skipped", Reason.NOT_AN_IMAGE, "")
        return fields, _dicom_outcome(header, fields, source.size)


def read_whole_header(source: Source, first_bytes: int) -> Header:
    """Read from the start, doubling, until the header is complete or the object ends (64 MiB at the most).

    Raises:
        RefusedError: no DICOM header.
    """
    length = min(first_bytes, source.size)
    while True:
        data = source.read(0, length)
        whole = len(data) < length or length >= source.size
        needs = 0
        try:
            header = read_header(data, whole=whole, wanted=INDEX_TAGS)
            if header.complete or whole or length >= HEADER_AT_MOST:
                return header
            needs = header.needs
        except RefusedError:
            if whole or length >= REFUSED_AT_MOST:
                raise
        length = min(max(2 * length, needs), source.size, HEADER_AT_MOST)


def _stored_pixels(header: Header, fields: Row, size: int) -> Outcome:
    """Whether native pixel data hold at least one whole frame; flagged where the object ends before they do."""
    pixels = header.pixels
    native = native_syntax(header.transfer_syntax_uid or "") and header.transfer_syntax_uid not in DEFLATED
    if pixels is None or pixels.length == UNDEFINED or not native:
        return OK
    stored = max(0, min(pixels.length, size - pixels.start))
    if stored < pixels.length:
        header.flag("pixels_truncated")
    bits = fields["bits_allocated"] or FLOAT_BITS.get(pixels.tag) or 0
    photometric = fields["photometric_interpretation"] or ""
    samples = fields["samples_per_pixel"] or 1
    frame = -(-frame_bits(fields["rows"], fields["columns"], samples, bits, photometric=photometric) // 8)
    if stored < frame:
        return "failed", Reason.PIXEL_LENGTH_MISMATCH, f"{stored} bytes where a frame has {frame}"
    return OK


def _dicom_outcome(header: Header, fields: Row, size: int) -> Outcome:
    sop_class = sop_class_uid(header)
    if sop_class == DICOMDIR_CLASS:
        return "skipped", Reason.DICOMDIR, ""
    if header.pixels and header.pixels.length:
        if not fields["rows"] or not fields["columns"]:
            return "failed", Reason.CORRUPT_HEADER, "Rows or Columns missing"
        outcome = _image_outcome(fields)
        return outcome if outcome != OK else _stored_pixels(header, fields, size)
    empty = not any(tag >= FIRST_DATA_TAG for tag in (*header.values, *header.nested))
    if empty or (not header.complete and not _non_image(sop_class)):
        return "failed", Reason.CORRUPT_HEADER, "no attribute of an image" if empty else "header ends early"
    if fields["rows"] and fields["columns"] and sop_class != SPECTROSCOPY_CLASS:
        return "failed", Reason.PIXELS_MISSING, ""
    return "skipped", Reason.NON_IMAGE_CLASS, ""


def _non_image(sop_class: str | None) -> bool:
    storage_class = (sop_class or "").removeprefix(STORAGE_CLASSES)
    return storage_class in NON_IMAGE_CLASSES or storage_class.startswith(NON_IMAGE_FAMILIES)


def _image_outcome(fields: Row) -> Outcome:
    samples = fields["rows"] * fields["columns"] * (fields["samples_per_pixel"] or 1)
    if samples > SAMPLES_AT_MOST:
        return "failed", Reason.IMAGE_TOO_LARGE, f"{samples} samples a frame; {SAMPLES_AT_MOST} at the most"
    return OK


def _compressed(format: str, head: bytes) -> Outcome:
    if format == "gzip" and inside_gzip(head) is None:
        return "skipped", Reason.NOT_AN_IMAGE, ""
    return "failed", Reason.UNSUPPORTED_CONTAINER, f"{format}: store a plain tar or zip instead"


__all__ = ["index_object", "read_whole_header", "rows_to_table"]
