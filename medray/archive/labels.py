"""Labels and how they find their images: by path, by UID, by patient, or by the folder they lie in."""

import csv
import io
import json
import re
from dataclasses import dataclass
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from medray import storage
from medray.archive.folders import folder_labels, object_paths
from medray.archive.identity import keyed_hash
from medray.errors import LabelError
from medray.label_settings import LabelSettings

COUNTS = b"medray.labels"
JOINED_ON = {
    "path": "object_id",
    "sop_instance_uid": "instance_key",
    "series_instance_uid": "series_key",
    "study_instance_uid": "study_key",
    "patient": "patient_key",
}

CONTENT = {"column": "class", "mask_column": "masks' paths", "region_column": "paths of the regions that count"}


@dataclass(frozen=True)
class _Join:
    """A key of the join: what the labels call it, and the index column with its keyed hash."""

    name: str
    label_column: str
    index_column: str


def read_labels(uri: str, settings: LabelSettings) -> pa.Table:
    """A CSV or Parquet file of labels; every column as text, empty cells null.

    Raises:
        LabelError: no table, or no column `settings.column`; for masks, no `mask_column` or `region_column`.
        StorageError: it cannot be read.
    """
    data = storage.read_bytes(uri)
    try:
        table = pq.read_table(pa.BufferReader(data)) if data[:4] == b"PAR1" else _read_csv(data)
        table = pa.table({name: _text(table[name]) for name in table.column_names})
    except (pa.ArrowException, UnicodeDecodeError, ValueError) as error:
        raise LabelError(
            f"The labels are no CSV or Parquet table ({type(error).__name__}).", "See --labels.file."
        ) from None
    flags = ("column",) if settings.task == "classify" else ("mask_column", "region_column")
    for flag in flags:
        name = getattr(settings, flag)
        if name is not None and name not in table.column_names:
            raise LabelError(
                f"The labels have no column {name!r}; they have {', '.join(table.column_names)}.",
                f"Name the column with the {CONTENT[flag]}: --labels.{flag}.",
            )
    return table


def _read_csv(data: bytes) -> pa.Table:
    first = data.split(b"\n", 1)[0].decode("utf-8-sig")
    delimiter = max(",;\t", key=first.count)
    names = next(csv.reader(io.StringIO(first.strip("\r")), delimiter=delimiter), [])
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    parse = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    return pyarrow.csv.read_csv(io.BytesIO(data), convert_options=options, parse_options=parse)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def join_labels(index: pa.Table, settings: LabelSettings, key: bytes, archive: str) -> pa.Table:
    """The index with the columns `label` and `split` (null where the labels say nothing).

    `patient_key` becomes the keyed hash of the labels' patient where they name one. Rows that `settings.where` leaves
    out keep their place, without a label. How many labels found an image stands in the schema's metadata
    (`medray.labels`: labels, matched, images).

    Args:
        archive: the archive's URI, to tell paths relative to it.

    Raises:
        LabelError: nothing matches, one image has two labels, or a column does not exist.
    """
    chosen = _chosen(index, settings)
    if settings.file is None:
        labels, splits = folder_labels(index, key, archive)
        joined = _with_columns(index, labels, splits)
        return _kept(joined, chosen, settings, pc.sum(pc.is_valid(labels)).as_py() or 0)
    table = read_labels(settings.file, settings)
    join = _join(table, settings)
    table = table.filter(pc.and_(pc.is_valid(table[join.label_column]), pc.is_valid(table[settings.column])))
    names = [
        relative_path(name, archive) if join.name == "path" else name for name in table[join.label_column].to_pylist()
    ]
    keys = pa.array([keyed_hash(key, name) for name in names], pa.string())
    keys, table = _unique(keys, table, settings.column)
    found = pc.index_in(index[join.index_column], value_set=keys)
    matched = len(pc.unique(found.combine_chunks().drop_null()))
    if not matched:
        _nothing_matches(index, names, join, key, archive)
    split = table[settings.split_column] if settings.split_column in table.column_names else None
    joined = _with_columns(index, table[settings.column].take(found), None if split is None else split.take(found))
    if settings.patient_column in table.column_names and join.name != "patient":
        joined = _with_patients(joined, table[settings.patient_column], found, key)
    return _kept(joined, chosen, settings, len(keys), matched)


def _chosen(index: pa.Table, settings: LabelSettings) -> pa.ChunkedArray:
    """Which rows `where` keeps."""
    mask = pa.chunked_array([pa.array([True] * len(index), pa.bool_())])
    for column, value in settings.where.items():
        if column not in index.column_names:
            raise LabelError(
                f"The index has no column {column!r} to choose images by.", "See docs/tables.md for its columns."
            )
        equal = pc.equal(index[column].cast(pa.string()), str(value))
        mask = pc.and_(mask, pc.fill_null(equal, False))
    return mask


def _join(table: pa.Table, settings: LabelSettings) -> _Join:
    columns = {**{name: name for name in JOINED_ON}, "patient": settings.patient_column or ""}
    wanted = list(columns) if settings.join == "auto" else [settings.join]
    for name in wanted:
        if columns[name] in table.column_names:
            return _Join(name, columns[name], JOINED_ON[name])
    raise LabelError(
        f"The labels have none of the columns {', '.join(columns[name] or '(none)' for name in wanted)}; "
        f"they have {', '.join(table.column_names)}.",
        "Name the join: --labels.join and --labels.patient_column.",
    )


def relative_path(name: str, archive: str) -> str:
    """A path relative to the archive, however the labels write it."""
    name = name.replace("\\", "/")
    for root in (storage.absolute(archive), archive.rstrip("/")):
        if root and name.startswith(root + "/"):
            name = name[len(root) + 1 :]
    return name.removeprefix("./")


def _unique(keys: pa.Array, table: pa.Table, column: str) -> tuple[pa.Array, pa.Table]:
    """One label a key.

    Raises:
        LabelError: two different ones.
    """
    both = pa.table({"key": keys, "label": table[column], "row": pa.array(range(len(keys)), pa.int64())})
    grouped = both.group_by("key").aggregate([("label", "count_distinct"), ("row", "min")])
    twice = pc.sum(pc.greater(grouped["label_count_distinct"], 1)).as_py() or 0
    if twice:
        raise LabelError(f"{twice} images or patients have two different labels.", "Keep one row for each.")
    first = grouped["row_min"].sort().combine_chunks()
    return keys.take(first), table.take(first)


def _with_columns(index: pa.Table, labels: pa.ChunkedArray, splits: pa.ChunkedArray | None) -> pa.Table:
    index = index.drop_columns([name for name in ("label", "split") if name in index.column_names])
    empty = pa.nulls(len(index), pa.string())
    return index.append_column("label", labels).append_column("split", empty if splits is None else splits)


def _with_patients(joined: pa.Table, patients: pa.ChunkedArray, found: pa.ChunkedArray, key: bytes) -> pa.Table:
    hashed = pa.array([keyed_hash(key, name) if name else None for name in patients.to_pylist()], pa.string())
    column = joined.column_names.index("patient_key")
    return joined.set_column(
        column, joined.schema.field(column), pc.coalesce(hashed.take(found), joined["patient_key"])
    )


def _kept(
    joined: pa.Table, chosen: pa.ChunkedArray, settings: LabelSettings, labels: int, matched: int | None = None
) -> pa.Table:
    column = joined.column_names.index("label")
    joined = joined.set_column(column, "label", pc.if_else(chosen, joined["label"], pa.scalar(None, pa.string())))
    images = len(joined) - joined["label"].null_count
    if settings.where and not images:
        wanted = ", ".join(f"{name} is {value}" for name, value in settings.where.items())
        raise LabelError(f"No labelled image is left where {wanted}.", "Check --labels.where against the index.")
    counts = {"labels": labels, "matched": labels if matched is None else matched, "images": images}
    return joined.replace_schema_metadata({**(joined.schema.metadata or {}), COUNTS: json.dumps(counts).encode()})


def key_form(text: str) -> str:
    """The form of a key without its content: runs of letters become `x`, of digits `0`."""
    return re.sub(r"[^\W\d_]+", "x", re.sub(r"\d+", "0", text))[:60]


def _nothing_matches(index: pa.Table, names: list[str], join: _Join, key: bytes, archive: str) -> NoReturn:
    theirs = key_form(names[0]) if names else "nothing"
    if join.name == "path":
        path = next((path for path in object_paths(index, key, archive) if path), "")
        ours = f"of the form {key_form(path)}"
    else:
        ours = f"keyed hashes of the {join.name.replace('_', ' ')}"
    raise LabelError(
        f"None of the {len(names)} labels matches one of the {len(index)} objects. They were joined by {join.name}: "
        f"the labels' column {join.label_column!r} has keys of the form {theirs}, the index {ours} "
        "(x = letters, 0 = digits).",
        f"Choose another join (--labels.join {', '.join(JOINED_ON)}), or write the keys as the archive does.",
    )
