"""Proof that a predictions table holds each sample of its index once, and that its ledger adds up."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import storage, tables
from medray.errors import OutputError
from medray.image_settings import SampleRecipe
from medray.pipelines.aggregate import verify_aggregates
from medray.pipelines.funnel import STATUSES, Funnel, checked_funnel, same_funnel
from medray.samples.frame_sets import KEY_COLUMNS
from medray.schema import INDEX
from medray.scoring.choice import TO_CHOOSE, choose_explained
from medray.scoring.completeness import compare
from medray.scoring.frame_sets import COUNTED, found_samples_of, wanted_samples_of

UNIT_COLUMNS = [name for name in INDEX.names if name not in ("position_mm", "orientation")]


def to_score(source: str, columns: list[str] = UNIT_COLUMNS) -> pa.Table:
    """The rows of an index that are samples or should have been: skipped objects hold no image."""
    return pa.concat_tables(slices_to_score(source, tables.ROWS_PER_FILE, columns))


def slices_to_score(source: str, rows: int, columns: list[str] = UNIT_COLUMNS) -> Iterator[pa.Table]:
    """The same, at most `rows` of the index at a time."""
    for table in tables.iter_slices(source, columns, rows):
        yield table.filter(pc.not_equal(table["status"], "skipped"))


def objects_to_score(source: str) -> int:
    """How many rows of an index these are."""
    status = tables.read_manifest(source)["funnel"]["status"]
    return int(status.get("ok", 0) + status.get("failed", 0))


def verify(out: str) -> dict[str, int]:
    """Prove that the predictions hold each sample of their index once and nothing else; the counts.

    Both ledgers are counted again, the index's and the predictions': listed = ok + failed(reason) + skipped(reason). Of
    the output of several bundles, those of every table; `rows`, `ok` and so on are sums over the tables. Tables of
    explanations and aggregates beside predictions are proved too.

    Raises:
        OutputError: a sample is missing, doubled, or not of the index, a ledger does not add up or is not what the rows
            say, or the index is no longer the one scored.
    """
    manifest = tables.read_manifest(out)
    if manifest["kind"] == "models":
        names = tables.read_table(out)["name"].to_pylist()
        each = [Counter(verify(storage.join(out, name))) for name in names]
        return {"tables": len(names), **sum(each, Counter()), "objects": each[0]["objects"]}
    if manifest["kind"] != "predictions":
        raise OutputError(f"{out} is a table of {manifest['kind']}.", "Give the --out of `medray score`.")
    source = tables.read_manifest(manifest["source"])
    if source["generation"] != manifest["source_generation"]:
        raise OutputError(
            f"{out} cannot be verified: its index has been updated since.", "Score the index again, into a new --out."
        )
    sample = SampleRecipe(**manifest["sample"])
    counts = _each_set_once(out, manifest, sample) if sample.is_set else _each_sample_once(out, manifest)
    _ledger(manifest["source"], source)
    _ledger(out, manifest)
    if not same_funnel(manifest["index_funnel"], source["funnel"]):
        raise OutputError(f"{out} has another ledger of its index than the index.", "Score again into a new --out.")
    status = {name: manifest["funnel"]["status"].get(name, 0) for name in STATUSES}
    more = {"explained": verify_explanations(out), "aggregates": verify_aggregates(out)}
    return {**counts, **status, **{name: count for name, count in more.items() if count is not None}}


def _ledger(uri: str, manifest: dict[str, Any]) -> None:
    """Count a table again."""
    counts = Funnel()
    for _ in counts.counted(tables.iter_tables(uri, ["status", "reason"])):
        pass
    found = counts.facts()
    if not same_funnel(found, checked_funnel(manifest["funnel"], uri)) or found["listed"] != manifest["rows"]:
        raise OutputError(
            f"{uri} has other counts in its manifest than in its rows.", "Make it again; please report it."
        )


def _each_sample_once(out: str, manifest: dict[str, Any]) -> dict[str, int]:
    """Compare the rows of each object with what the index says of it."""
    wanted = slices_to_score(manifest["source"], tables.ROWS_PER_GROUP, ["object_id", "frames", "status"])
    found = compare(wanted, tables.iter_slices(out, ["sample_id", "object_id"], tables.ROWS_PER_GROUP))
    if found.wrong or found.unknown or found.doubled or found.rows != manifest["rows"]:
        raise OutputError(
            f"{out} does not hold one row a sample: {found.wrong} objects with a wrong count, {found.unknown} unknown, "
            f"{found.doubled} doubled.",
            "Delete the output and score again; please report it.",
        )
    return {"objects": found.objects, "rows": found.rows}


def _each_set_once(out: str, manifest: dict[str, Any], sample: SampleRecipe) -> dict[str, int]:
    """Compare samples of several frames, and how many each lists, with those of the index."""
    columns = sorted({"object_id", "frames", "status", KEY_COLUMNS[sample.of]})
    wanted = wanted_samples_of(slices_to_score(manifest["source"], tables.ROWS_PER_GROUP, columns), sample)
    found = found_samples_of(tables.iter_slices(out, COUNTED, tables.ROWS_PER_GROUP))
    doubled = pc.sum(pc.greater(found["rows"], 1)).as_py() or 0
    if doubled or not found.select(COUNTED).equals(wanted.select(COUNTED)):
        raise OutputError(
            f"{out} does not hold each {sample.of} once, with all of its frames: {found.num_rows:,} of "
            f"{wanted.num_rows:,}, {doubled} doubled.",
            "Delete the output and score again; please report it.",
        )
    return {"objects": objects_to_score(manifest["source"]), "rows": found.num_rows}


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
