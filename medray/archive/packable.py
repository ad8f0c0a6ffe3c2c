"""Which objects of an index go into shards, and which stay where they are, and why."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from medray.archive.containers import MEMBER_AT_MOST
from medray.archive.shards import EXTENSIONS
from medray.errors import Reason

SURVEYED = ["format", "status", "reason", "length"]
TOO_LARGE = "too_large"


def packable(rows: pa.Table) -> pa.ChunkedArray:
    """Whether each object is packed: DICOM of every kind, reports, plans and broken files too; PNG, JPEG and TIFF.

    A shard's own object is not (its members are), nor a DICOMDIR, which names files by their place, nor an object above
    the 2 GiB that medray reads of a member, nor what is no image at all.
    """
    known = pc.is_in(rows["format"], pa.array(list(EXTENSIONS)))
    no_directory = pc.not_equal(pc.fill_null(rows["reason"], ""), Reason.DICOMDIR.value)
    return pc.and_(pc.and_(known, no_directory), pc.less_equal(pc.fill_null(rows["length"], 0), MEMBER_AT_MOST))


def why_they_stay(rows: pa.Table) -> Counter[str]:
    """Objects that are not packed, by `status:reason`; columns `status` and `reason`."""
    rows = rows.select(["status", "reason"])
    return Counter(f"{row['status']}:{row['reason'] or TOO_LARGE}" for row in rows.to_pylist())
