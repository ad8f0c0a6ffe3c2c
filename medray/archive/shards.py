"""Objects to one tar shard, and the index rows of its members."""

import io
import tarfile
from typing import Any

from medray.archive.identity import seal
from medray.archive.reading import read_objects
from medray.errors import SampleError

EXTENSIONS = {"dicom": "dcm", "png": "png", "jpeg": "jpg", "tiff": "tif"}


def tar_shard(
    rows: list[dict[str, Any]], key: bytes, uri: str, *, sealed: bool = True
) -> tuple[bytes, list[dict[str, Any]]]:
    """Read objects and lay them out as a tar shard.

    Members are named `<object_id>.<extension>` (a key and an extension, as WebDataset wants them), so no name of a
    patient goes into the shard's directory. What cannot be read gets no member: its row says why.

    Args:
        rows: rows of an index that are not skipped.
        key: unseals and seals names.
        uri: where the shard will lie.
        sealed: whether the new rows' names are encrypted.

    Returns:
        The shard's bytes and the rows of its members: `object_id` stays, `uri`, `member`, `offset`, `length` change.
    """
    name_of = (lambda text: seal(key, text)) if sealed else (lambda text: text)
    buffer, packed = io.BytesIO(), []
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as shard:
        for row, content in zip(rows, read_objects(rows, key), strict=True):
            if isinstance(content, SampleError):
                packed.append({**row, "status": "failed", "reason": content.reason.value, "detail": content.detail})
                continue
            member = tarfile.TarInfo(f"{row['object_id']}.{EXTENSIONS.get(row['format'] or '', 'bin')}")
            member.size = len(content)
            offset = buffer.tell() + tarfile.BLOCKSIZE
            shard.addfile(member, io.BytesIO(content))
            place = {"uri": name_of(uri), "member": name_of(member.name), "offset": offset, "length": len(content)}
            packed.append({**row, **place, "compression": None})
    return buffer.getvalue(), packed
