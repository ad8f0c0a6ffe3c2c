"""Labels that name masks: each image's mask, and the mask of the pixels that count, as objects of the index."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from medray.archive.identity import keyed_hash
from medray.archive.labels import join_labels, relative_path
from medray.label_settings import LabelSettings

MASKED = "masked"
"""The label of every image that has a mask: paths of masks may name patients, and no table holds them."""
PLACE = ("uri", "member", "offset", "length", "compression", "checksum", "etag", "format", "status", "reason")
"""Columns of the index that say where an object's bytes are and what is known of them."""
COLUMNS = ["object_id", *PLACE]


def join_masks(rows: pa.Table, index: pa.Table, settings: LabelSettings, *, key: bytes, archive: str) -> pa.Table:
    """Rows with the columns `label` (`masked`, or null), `split`, `mask` and `region`.

    A mask is a struct of `object_id` and PLACE; what the labels name and the index does not have has an `object_id`
    alone. Without a mask or region it is null. Objects that are masks or regions themselves have no label: they are
    no samples.

    Args:
        rows: of an index, or of predictions on it.
        index: the columns COLUMNS of every object of the archive, skipped ones too: GIF is no image to medray.
        settings: with a `mask_column`.
        key: of the hashed identifiers.
        archive: its URI, to tell paths relative to it.

    Raises:
        LabelError: as `join_labels`.
    """
    found = join_labels(rows, _column(settings, settings.mask_column), key, archive)
    masks = _object_ids(found["label"], key, archive)
    regions = pa.nulls(len(found), pa.string())
    if settings.region_column:
        named = join_labels(rows, _column(settings, settings.region_column), key, archive)
        regions = _object_ids(named["label"], key, archive)
    themselves = pa.concat_arrays([masks, regions]).drop_null()
    is_sample = pc.and_(pc.is_valid(masks), pc.invert(pc.is_in(found["object_id"], value_set=themselves)))
    label = pc.if_else(is_sample, pa.scalar(MASKED), pa.scalar(None, pa.string()))
    found = found.set_column(found.column_names.index("label"), "label", label)
    return found.append_column("mask", _objects(masks, index)).append_column("region", _objects(regions, index))


def _column(settings: LabelSettings, column: str | None) -> LabelSettings:
    """The same join, of another column."""
    return replace(settings, column=column or "", mask_column=None, mask_classes={}, region_column=None)


def _object_ids(paths: pa.ChunkedArray, key: bytes, archive: str) -> pa.StringArray:
    hashed = [None if path is None else keyed_hash(key, relative_path(path, archive)) for path in paths.to_pylist()]
    return pa.array(hashed, pa.string())


def _objects(ids: pa.StringArray, index: pa.Table) -> pa.StructArray:
    place = pc.index_in(ids, value_set=index["object_id"].combine_chunks())
    taken = index.select(PLACE).take(place).combine_chunks()
    columns = [ids, *(_array(taken[name]) for name in PLACE)]
    return pa.StructArray.from_arrays(columns, names=COLUMNS, mask=pc.is_null(ids))


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
