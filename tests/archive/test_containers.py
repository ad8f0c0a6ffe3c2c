import io
import struct
import tarfile
import zipfile

import pytest

from medray.archive.containers import list_members
from medray.archive.sources import BytesSource
from medray.errors import Reason, SampleError
from tests.archive.makers import tar_bytes

CONTENT = {"a.png": b"first", "folder/" + "n" * 150 + "é.dcm": b"second" * 500, "../../etc/passwd": b"", "d": b"4"}


def zip_bytes(compression=zipfile.ZIP_STORED, content=CONTENT) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_members_lie_where_their_offsets_say(format):
    data = tar_bytes(CONTENT, format)
    found = {m.name: data[m.offset : m.offset + m.length] for m in list_members(BytesSource(data), "tar")}
    assert found == CONTENT


def test_offsets_equal_those_of_tarfile():
    data = tar_bytes(CONTENT)
    with tarfile.open(fileobj=io.BytesIO(data)) as shard:
        expected = [(info.name, info.offset_data, info.size) for info in shard]
    assert [(m.name, m.offset, m.length) for m in list_members(BytesSource(data), "tar")] == expected


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip_members_lie_where_their_offsets_say(compression):
    data = zip_bytes(compression)
    members = list(list_members(BytesSource(data), "zip"))
    assert [m.name for m in members] == list(CONTENT)
    for member in members:
        raw = data[member.offset : member.offset + member.length]
        content = zipfile.zlib.decompress(raw, -15) if member.deflated else raw
        assert content == CONTENT[member.name] and member.size == len(content)


def test_zip64_is_read():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, archive.open("big", "w", force_zip64=True) as file:
        file.write(b"content")
    data = buffer.getvalue()
    (member,) = list_members(BytesSource(data), "zip")
    assert data[member.offset : member.offset + member.length] == b"content"


def test_a_directory_of_a_zip_with_a_long_comment_is_found():
    buffer = io.BytesIO(zip_bytes())
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"c" * 60_000
    assert len(list(list_members(BytesSource(buffer.getvalue()), "zip"))) == 4


def problems(data: bytes, format: str) -> list[Reason | None]:
    return [m.problem and m.problem[0] for m in list_members(BytesSource(data), format)]


def test_an_encrypted_zip_member_is_refused():
    data = bytearray(zip_bytes(content={"a": b"x"}))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 8] |= 1
    assert problems(bytes(data), "zip") == [Reason.CORRUPT_CONTAINER]


def test_another_compression_is_named():
    data = zip_bytes(zipfile.ZIP_LZMA, {"a": b"x" * 100})
    (member,) = list_members(BytesSource(data), "zip")
    assert member.problem == (Reason.UNSUPPORTED_CONTAINER, "zip compression method 14")


def test_a_member_that_becomes_two_hundred_times_larger_is_refused():
    assert problems(zip_bytes(zipfile.ZIP_DEFLATED, {"a": bytes(32 * 2**20)}), "zip") == [Reason.EXPANSION_LIMIT]
    assert problems(zip_bytes(zipfile.ZIP_DEFLATED, {"a": bytes(2**20)}), "zip") == [None]  # small ones do no harm


def test_a_cut_tar_member_is_corrupt_and_those_before_it_stay():
    assert problems(tar_bytes({"a": b"x", "b": bytes(5000)})[:2000], "tar") == [None, Reason.CORRUPT_CONTAINER]


def test_a_damaged_tar_header_is_raised_after_the_members_before_it():
    data = bytearray(tar_bytes({"a": b"x", "b": b"y"}))
    data[1024 + 150] ^= 0x55
    seen = []
    with pytest.raises(SampleError, match="tar header"):
        seen.extend(m.name for m in list_members(BytesSource(bytes(data)), "tar"))
    assert seen == ["a"]


def test_links_have_no_bytes_and_sparse_members_are_refused():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as shard:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        shard.addfile(link)
        shard.addfile(folder)
    assert [(m.name, m.links) for m in list_members(BytesSource(buffer.getvalue()), "tar")] == [("link", True)]
    sparse = tarfile.TarInfo("sparse")
    sparse.type = tarfile.GNUTYPE_SPARSE
    assert problems(sparse.tobuf() + bytes(1024), "tar") == [Reason.UNSUPPORTED_CONTAINER]


@pytest.mark.parametrize("data", [b"PK\x05\x06", b"PK\x03\x04" + bytes(100), zip_bytes()[:-30]])
def test_a_zip_without_a_directory_is_corrupt(data):
    with pytest.raises(SampleError, match="zip directory"):
        list(list_members(BytesSource(data), "zip"))


def test_a_zip_entry_that_points_nowhere_is_corrupt():
    data = bytearray(zip_bytes(content={"a": b"x"}))
    directory = data.rindex(b"PK\x01\x02")
    struct.pack_into("<L", data, directory + 42, 7)
    assert problems(bytes(data), "zip") == [Reason.CORRUPT_CONTAINER]


def test_a_negative_size_in_a_tar_header_ends_the_listing():
    info = tarfile.TarInfo("a")
    header = bytearray(info.tobuf())
    header[124:136] = b"\xff" * 12
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:512]))
    with pytest.raises(SampleError, match="tar header"):
        list(list_members(BytesSource(bytes(header) + bytes(1024)), "tar"))
