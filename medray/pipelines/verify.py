"""Proof that a predictions table holds each sample of its index once."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import storage, tables
from medray.errors import OutputError
from medray.pipelines.aggregate import verify_aggregates
from medray.schema import INDEX
from medray.scoring.choice import TO_CHOOSE, choose_explained

UNIT_COLUMNS = [name for name in INDEX.names if name not in ("position_mm", "orientation")]


def to_score(source: str) -> pa.Table:
    """The rows of an index that are samples or should have been: skipped objects hold no image."""
    return pa.concat_tables(slices_to_score(source, tables.ROWS_PER_FILE))


def slices_to_score(source: str, rows: int) -> Iterator[pa.Table]:
    """The same, at most `rows` of the index at a time."""
    for table in tables.iter_slices(source, UNIT_COLUMNS, rows):
        yield table.filter(pc.not_equal(table["status"], "skipped"))


def objects_to_score(source: str) -> int:
    """How many rows of an index these are."""
    status = tables.read_manifest(source)["funnel"]["status"]
    return int(status.get("ok", 0) + status.get("failed", 0))


def verify(out: str) -> dict[str, int]:
    """Prove that the predictions hold each sample of their index once and nothing else; the counts.

    Of the output of several bundles, those of every table; `rows`, `ok` and so on are sums over the tables. Tables of
    explanations and aggregates beside predictions are proved too.

    Raises:
        OutputError: a sample is missing, doubled, or not of the index, or the index is no longer the one scored.
    """
    manifest = tables.read_manifest(out)
    if manifest["kind"] == "models":
        names = tables.read_table(out)["name"].to_pylist()
        each = [Counter(verify(storage.join(out, name))) for name in names]
        return {"tables": len(names), **sum(each, Counter()), "objects": each[0]["objects"]}
    if manifest["kind"] != "predictions":
        raise OutputError(f"{out} is a table of {manifest['kind']}.", "Give the --out of `medray score`.")
    if tables.read_manifest(manifest["source"])["generation"] != manifest["source_generation"]:
        raise OutputError(
            f"{out} cannot be verified: its index has been updated since.", "Score the index again, into a new --out."
        )
    source = to_score(manifest["source"])
    expected = {row["object_id"]: _frames(row) for row in source.select(["object_id", "frames", "status"]).to_pylist()}
    found = tables.read_table(out, ["sample_id", "object_id", "status"])
    ids = found["sample_id"].to_pylist()
    rows_of = Counter(found["object_id"].to_pylist())
    unread = rows_of.keys() & set(ids)  # one row for the whole object: no frame could be counted
    wrong = [key for key, frames in expected.items() if rows_of[key] != (1 if key in unread else frames)]
    extra = rows_of.keys() - expected.keys()
    doubled = len(ids) - len(set(ids))
    if wrong or extra or doubled or len(ids) != manifest["rows"]:
        raise OutputError(
            f"{out} does not hold one row a sample: {len(wrong)} objects with a wrong count, {len(extra)} unknown, "
            f"{doubled} doubled.",
            "Delete the output and score again; please report it.",
        )
    status = found["status"].to_pylist()
    counts = {name: status.count(name) for name in ("ok", "failed", "skipped")}
    explained = verify_explanations(out)
    more = {} if explained is None else {"explained": explained}
    if (aggregated := verify_aggregates(out)) is not None:
        more["aggregates"] = aggregated
    return {"objects": len(expected), "rows": len(ids), **counts, **more}


def verify_explanations(out: str) -> int | None:
    """Prove that the explanations of predictions hold each chosen sample once and nothing else; how many.

    None where nobody asked for any.

    Raises:
        OutputError: a sample is missing, doubled or was not to be explained, or they are not finished.
    """
    explanations = storage.join(out, tables.EXPLANATIONS)
    if not tables.is_table(explanations):
        return None
    manifest, classes = tables.read_manifest(explanations), tables.read_manifest(out)["classes"]
    predictions = tables.read_table(out, TO_CHOOSE)
    chosen = choose_explained(predictions, manifest["explain"], manifest["explain_top"], classes)
    expected = set(chosen["sample_id"].to_pylist())
    found = tables.read_table(explanations, ["sample_id"])["sample_id"].to_pylist()
    missing, extra, doubled = len(expected - set(found)), len(set(found) - expected), len(found) - len(set(found))
    if missing or extra or doubled:
        raise OutputError(
            f"{explanations} does not hold one row a chosen sample: {missing} missing, {extra} not chosen, "
            f"{doubled} doubled.",
            "Delete that folder and score again; please report it.",
        )
    return len(found)


def _frames(row: dict[str, Any]) -> int:
    return int(row["frames"] or 1) if row["status"] == "ok" else 1
