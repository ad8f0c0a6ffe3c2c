"""Members of tar and zip shards, by offset: nothing is unpacked, so a member's name can do no harm.

Source: POSIX.1-2024 pax (ustar, pax headers), GNU tar manual (long names, sparse files), PKWARE APPNOTE 6.3.10.
"""

import struct
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

from medray.archive.sources import SeekableSource, Source
from medray.errors import Reason, SampleError

BLOCK = 512
LONG_NAME_AT_MOST = 2**20
MEMBER_AT_MOST = 2 * 2**30
RATIO_AT_MOST = 200
RATIO_MATTERS_FROM = 16 * 2**20
STORED, DEFLATED = 0, 8
FILE_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
LINK_TYPES = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)


@dataclass(frozen=True)
class Member:
    """One file in a container.

    Attributes:
        name: path in the container, as stored.
        offset: first byte within the container.
        length: bytes at rest.
        size: bytes once inflated.
        deflated: compressed by deflate.
        problem: why it cannot be used, and in words.
        links: it is a link or a device, with no bytes of its own.
    """

    name: str
    offset: int
    length: int
    size: int
    deflated: bool = False
    problem: tuple[Reason, str] | None = None
    links: bool = False


def list_members(source: Source, format: str) -> Iterator[Member]:
    """Members of a tar or zip, in their order; the members before a defect are listed before it is raised.

    Raises:
        SampleError: corrupt_container.
    """
    members = _tar_members(source) if format == "tar" else _zip_members(source)
    for member in members:
        if member.problem is None and member.size > MEMBER_AT_MOST:
            yield _refused(member, Reason.EXPANSION_LIMIT, f"{member.size} bytes; {MEMBER_AT_MOST} at the most")
        elif member.problem is None and member.size > max(RATIO_MATTERS_FROM, RATIO_AT_MOST * member.length):
            yield _refused(member, Reason.EXPANSION_LIMIT, f"{member.length} bytes become {member.size}")
        else:
            yield member


def _refused(member: Member, reason: Reason, detail: str) -> Member:
    return Member(member.name, member.offset, member.length, member.size, member.deflated, (reason, detail))


def _tar_members(source: Source) -> Iterator[Member]:
    position, name, pax, always = 0, None, dict[str, str](), dict[str, str]()
    while position < source.size:
        info = _tar_header(source.read(position, BLOCK))
        if info is None:
            return
        data = position + BLOCK
        if info.type in EXTENSIONS or info.type == tarfile.XGLTYPE:
            if info.size > LONG_NAME_AT_MOST:
                raise SampleError(Reason.CORRUPT_CONTAINER, f"extended header of {info.size} bytes")
            body = source.read(data, info.size)
            if info.type == tarfile.GNUTYPE_LONGNAME:
                name = body.rstrip(b"\0").decode("utf-8", "surrogateescape")
            elif info.type == tarfile.XGLTYPE:
                always |= _pax_records(body)
            elif info.type != tarfile.GNUTYPE_LONGLINK:
                pax = _pax_records(body)
            position = data + _blocks(info.size)
            continue
        member = _tar_member(info, source, data, name, always | pax)
        position = data + (0 if info.type in LINK_TYPES else _blocks(member.length))
        name, pax = None, {}
        if not info.isdir():
            yield member


def _tar_header(block: bytes) -> tarfile.TarInfo | None:
    """The header, or None at the end-of-archive block."""
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError, IndexError):
        if not any(block):
            return None
        raise SampleError(Reason.CORRUPT_CONTAINER, "tar header") from None
    if info.size < 0:  # base-256 numbers have a sign
        raise SampleError(Reason.CORRUPT_CONTAINER, "tar header")
    return info


def _tar_member(info: tarfile.TarInfo, source: Source, data: int, name: str | None, pax: dict[str, str]) -> Member:
    name = name or pax.get("path") or info.name
    length = int(pax["size"]) if pax.get("size", "").isdecimal() else info.size
    if info.type in LINK_TYPES:
        return Member(name, data, 0, 0, links=True)
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in pax):
        problem: tuple[Reason, str] | None = (Reason.UNSUPPORTED_CONTAINER, "sparse tar member")
    elif info.type not in FILE_TYPES and not info.isdir():
        problem = (Reason.UNSUPPORTED_CONTAINER, "special tar member")
    elif data + length > source.size:
        problem = (Reason.CORRUPT_CONTAINER, f"{max(0, source.size - data)} of {length} bytes")
    else:
        problem = None
    return Member(name, data, length, length, problem=problem)


def _blocks(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _pax_records(body: bytes) -> dict[str, str]:
    """`length keyword=value\\n` records."""
    records: dict[str, str] = {}
    position = 0
    while (space := body.find(b" ", position)) > 0 and body[position:space].isdigit():
        end = position + int(body[position:space])
        key, equals, value = body[space + 1 : end - 1].partition(b"=")
        if not equals or end <= space:
            break
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        position = end
    return records


def _zip_members(source: Source) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(SeekableSource(source)) as directory:
            entries = [entry for entry in directory.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, NotImplementedError, struct.error, ValueError, OSError):
        raise SampleError(Reason.CORRUPT_CONTAINER, "zip directory") from None
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        yield _zip_member(entry, source)


def _zip_member(entry: zipfile.ZipInfo, source: Source) -> Member:
    local = source.read(entry.header_offset, 30) if 0 <= entry.header_offset < source.size else b""
    problem: tuple[Reason, str] | None = None
    data = entry.header_offset + 30
    if len(local) < 30 or local[:4] != b"PK\x03\x04":
        problem = (Reason.CORRUPT_CONTAINER, "zip member header")
    else:
        data += sum(struct.unpack_from("<HH", local, 26))
    deflated = entry.compress_type == DEFLATED
    if entry.flag_bits & 1:
        problem = (Reason.CORRUPT_CONTAINER, "encrypted zip member")
    elif entry.compress_type not in (STORED, DEFLATED):
        problem = (Reason.UNSUPPORTED_CONTAINER, f"zip compression method {entry.compress_type}")
    elif problem is None and data + entry.compress_size > source.size:
        problem = (Reason.CORRUPT_CONTAINER, f"{max(0, source.size - data)} of {entry.compress_size} bytes")
    elif problem is None and not deflated and entry.file_size != entry.compress_size:
        problem = (Reason.CORRUPT_CONTAINER, "sizes of a stored zip member")
    return Member(entry.filename, data, entry.compress_size, entry.file_size, deflated, problem)
