"""Folder names as classes, as in ImageFolder, and the paths of an index's objects within their archive."""

from collections.abc import Iterator

import pyarrow as pa

from medray import storage
from medray.archive.identity import unseal
from medray.errors import LabelError

SIDES = frozenset(("train", "val", "valid", "validation", "test"))
SIDE_NAMES = {"valid": "validation"}


def object_paths(index: pa.Table, key: bytes, archive: str) -> Iterator[str]:
    """Each object's path relative to the archive, `shard.tar/member` for members, in the rows' order."""
    root = storage.absolute(archive)
    uris, members = index["uri"].to_pylist(), index["member"].to_pylist()
    for uri, member in zip(uris, members, strict=True):
        path = unseal(key, uri) if uri else ""
        path = path[len(root) + 1 :] if path.startswith(root + "/") else path.rpartition("/")[2]
        yield f"{path}/{unseal(key, member)}" if member else path


def folder_labels(index: pa.Table, key: bytes, archive: str) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Class and side of the split of each image, from its folders; null for what is no image or lies in no folder.

    The class is the topmost folder below the archive; within shards, the topmost folder of the member's path. Where
    the topmost folders of all images are names of sides (train, val, validation, test), they are the split, and the
    class is the folder below.

    Raises:
        LabelError: fewer than two classes.
    """
    status, members = index["status"].to_pylist(), index["member"].to_pylist()
    folders: list[tuple[str, ...]] = []
    for path, member, outcome in zip(object_paths(index, key, archive), members, status, strict=True):
        shard = path[: -len(unseal(key, member)) - 1] if member else ""
        parts = (*shard.split("/")[:-1], *path[len(shard) :].strip("/").split("/")[:-1])
        folders.append(tuple(part for part in parts if part) if outcome != "skipped" else ())
    tops = {parts[0].lower() for parts in folders if parts}
    sided = bool(tops) and tops <= SIDES
    labels = [parts[sided] if len(parts) > sided else None for parts in folders]
    splits = [SIDE_NAMES.get(parts[0].lower(), parts[0].lower()) if sided and parts else None for parts in folders]
    classes = {label for label in labels if label}
    if len(classes) < 2:
        raise LabelError(
            f"The folders of the archive name {len(classes)} classes; at least two are needed.",
            "Give a table of labels (--labels.file), or lay out the archive as CLASS/image.",
        )
    return pa.chunked_array([pa.array(labels, pa.string())]), pa.chunked_array([pa.array(splits, pa.string())])
