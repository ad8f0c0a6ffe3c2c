"""A row of finished predictions, what was scored together with it, and the bundle and objects behind it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import storage, tables
from medray.archive.identity import key_check, unseal
from medray.errors import AccessDeniedError, BundleError, NotFoundError, OutputError, SettingsError
from medray.image_settings import SampleRecipe
from medray.pipelines.verify import UNIT_COLUMNS
from medray.samples.frame_sets import cut_samples
from medray.schema import INDEX
from medray.scoring.plan import ScoringPlan, plan_scoring
from medray.settings import ScoreSettings

THREADS = 8


@dataclass(frozen=True)
class StoredRow:
    """A row of predictions.

    Attributes:
        row: all its columns.
        batch: sample ids of the forward pass that made its numbers, in order; only its own where it has none.
        setup: what decided the last bits of its numbers, as the manifest says; none where it has none.
    """

    row: dict[str, Any]
    batch: list[str]
    setup: dict[str, Any] | None


def predictions_manifest(uri: str) -> dict[str, Any]:
    """The manifest of finished predictions.

    Raises:
        OutputError: another table, or an unfinished one.
    """
    manifest = tables.read_manifest(uri)
    if manifest["kind"] != "predictions":
        raise OutputError(f"{uri} is a table of {manifest['kind']}.", "Give a predictions table.")
    return manifest


def stored_row(uri: str, sample_id: str, manifest: dict[str, Any]) -> StoredRow:
    """A row, and the samples that went through the model with it: those of its unit, in batches, in their order.

    Raises:
        OutputError: the table has no such sample.
    """
    [row] = tables.rows_where(uri, "sample_id", [sample_id]).to_pylist() or [None]
    if row is None:
        cure = f"`medray paths --table {uri}` lists its sample ids."
        raise OutputError(f"{uri} has no sample {sample_id}.", cure)
    if row["status"] != "ok":
        return StoredRow(row, [sample_id], None)
    unit = tables.rows_where(uri, "unit_id", [row["unit_id"]], ["sample_id", "unit_id", "status"])
    together = unit.filter(pc.equal(unit["status"], "ok"))["sample_id"].to_pylist()
    setup = manifest["setups"][row["setup"]]
    start = together.index(sample_id) // setup["batch_size"] * setup["batch_size"]
    return StoredRow(row, together[start : start + setup["batch_size"]], setup)


def stored_plan(manifest: dict[str, Any], given: str | None, out: str = "") -> ScoringPlan:
    """How predictions were made: their bundle (or those of their mean), and one table, in `out`.

    Args:
        manifest: of the predictions.
        given: where the bundle is now; none = where it lay then.
        out: of the plan's table.

    Raises:
        BundleError: a bundle is not there, or it is another one.
        SettingsError: one bundle is given for a mean of several.
    """
    scored = manifest["scored_with"]
    if given and len(scored["bundle"]) > 1:
        raise SettingsError("These predictions are a mean of several bundles.", "Put them where they lay then.")
    places = [storage.absolute(given)] if given else scored["bundle"]
    cure = f"Give --bundle the folder of model {manifest['model_id']}."
    try:
        plan = plan_scoring(ScoreSettings(manifest["source"], out, **{**scored, "bundle": places}))
    except (BundleError, NotFoundError, AccessDeniedError) as error:
        if given:
            raise
        raise BundleError(f"The bundle is not where it lay when it scored: {error.what}", cure) from None
    output = plan.outputs[-1]
    if output.model_id != manifest["model_id"]:
        raise BundleError(f"{places[0]} holds model {output.model_id}, and the predictions are of another.", cure)
    return replace(plan, outputs=(replace(output, uri=out, name=""),))


def scored_index(manifest: dict[str, Any], key: bytes) -> str:
    """The index that was scored, as it was then.

    Raises:
        OutputError: it is not there, or has been updated since.
        SettingsError: another key.
    """
    source = manifest["source"]
    index = tables.read_manifest(source)
    if index["key_check"] != key_check(key):
        raise SettingsError(f"{source} was made with another key.", "Give its --key_file, or set MEDRAY_KEY to it.")
    if index["generation"] != manifest["source_generation"]:
        what = f"The index {source} has been updated since it was scored."
        raise OutputError(what, "Score it again, into a new --out.")
    return str(source)


def index_rows(source: str, sample_ids: list[str]) -> pa.Table:
    """The rows of the objects of samples, each once, in the samples' order."""
    objects = list(dict.fromkeys(name.partition(":")[0] for name in sample_ids))
    found = tables.rows_where(source, "object_id", objects, UNIT_COLUMNS)
    found = found.take(pc.index_in(pa.array(objects), value_set=found["object_id"].combine_chunks()))
    return found.cast(pa.schema([INDEX.field(name) for name in UNIT_COLUMNS]))


def rows_of_sample(source: str, row: dict[str, Any], sample: SampleRecipe) -> pa.Table:
    """The rows of the objects of a sample of several frames, as a unit has them."""
    found = tables.rows_where(source, row["keyed_by"], [row["sample_id"]])
    found = found.filter(pc.not_equal(found["status"], "skipped"))
    [unit] = cut_samples(found, 1, sample)
    return unit.rows


def changed_objects(rows: pa.Table, key: bytes) -> dict[str, str]:
    """Objects that are not what they were when they were indexed: by object id, the etag now, or why there is none."""
    names, ids = rows["uri"].to_pylist(), rows["object_id"].to_pylist()
    places = sorted(set(names))
    with ThreadPoolExecutor(THREADS) as threads:
        now = dict(zip(places, threads.map(lambda place: _etag(unseal(key, place)), places), strict=True))
    found = zip(ids, names, rows["etag"].to_pylist(), strict=True)
    return {object_id: now[name] for object_id, name, etag in found if now[name] != etag}


def _etag(uri: str) -> str:
    listed: Iterator[storage.StoredObject] = storage.list_objects(uri)
    try:
        return next((stored.etag for stored in listed), "gone")
    except NotFoundError:
        return "gone"
    except AccessDeniedError:
        return "access denied"
