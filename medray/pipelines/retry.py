"""`medray retry`: samples that failed for a reason → scored again → a new generation of the predictions, manifest last.

OUT/_retry/   the work: plan and part files; gone when the new generation is whole

Of a run with several bundles each table is done in turn, then the table of tables counts them again.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.identity import load_key
from medray.errors import OutputError, Reason, SettingsError
from medray.image_settings import DecodeSettings, SampleRecipe
from medray.pipelines.cluster import cluster
from medray.pipelines.funnel import Funnel
from medray.pipelines.progress import progress, say, say_funnels
from medray.pipelines.score import check_failures, counts_of
from medray.pipelines.scorer import run_units
from medray.pipelines.setups import recorded_setups
from medray.pipelines.stored import predictions_manifest, scored_index, stored_plan
from medray.pipelines.units import planned_units
from medray.pipelines.verify import to_score, verify, verify_explanations
from medray.result_settings import RetrySettings
from medray.samples.frame_sets import SAMPLE_KEY, cut_samples, with_sample_keys
from medray.samples.units import Unit
from medray.schema import INDEX, MODELS
from medray.scoring.provenance import code_version
from medray.scoring.wanted import rows_to_retry
from medray.settings import ScoreSettings

WORK = "_retry"
ALL = "all"
OF_A_GENERATION = ("kind", "generation", "rows", "files", "funnel")


def retry(settings: RetrySettings) -> dict[str, Any]:
    """Score again what failed for a reason, or go on where an earlier run stopped; the manifest.

    Raises:
        OutputError: no finished predictions, one table of several, another retry under way, or the index has been
            updated since.
        BundleError: the bundle is not at hand.
        SettingsError: there is no such reason, or one bundle is given for a run over several.
        TooManyFailedError: it is done, and too many samples are failed all the same.
    """
    settings = replace(settings, predictions=storage.absolute(settings.predictions))
    out = settings.predictions
    if (run := out.rpartition("/")[0]) and _is_run(run):
        raise OutputError(f"{out} is one table of a run over several bundles.", f"Retry the run: `medray retry {run}`.")
    if not _is_run(out):
        manifest = _retry_table(settings)
        check_failures(settings.max_failed_fraction, [manifest])
        return manifest
    if settings.bundle:
        raise SettingsError("One --bundle is given for a run over several.", "Put them where they lay then.")
    names = tables.read_table(out, ["name"])["name"].to_pylist()
    done = [_retry_table(replace(settings, predictions=storage.join(out, name))) for name in names]
    manifest = _counted_again(out)
    check_failures(settings.max_failed_fraction, done)
    return manifest


def _is_run(out: str) -> bool:
    """Whether a table of tables lies there, which several bundles made."""
    return storage.exists(storage.join(out, tables.MANIFEST)) and tables.read_manifest(out)["kind"] == "models"


def _counted_again(out: str) -> dict[str, Any]:
    """The table of tables with the counts of now; its manifest."""
    manifest, rows = tables.read_manifest(out), tables.read_table(out).to_pylist()
    now = [row | counts_of(storage.join(out, row["name"])) for row in rows]
    if now == rows:
        return manifest
    facts = {name: value for name, value in manifest.items() if name not in OF_A_GENERATION}
    listed = pa.Table.from_pylist(now, schema=MODELS)
    return tables.finish(out, "models", [listed], schema=MODELS, facts=lambda: facts)


def _retry_table(settings: RetrySettings) -> dict[str, Any]:
    out = settings.predictions
    manifest, key = predictions_manifest(out), load_key(settings.key_file)
    scoring = _scoring(settings, manifest)
    if not _tidied_up(out, manifest, settings) and (chosen := _chosen(out, settings.reason)).num_rows:
        source, plan = scored_index(manifest, key), stored_plan(manifest, settings.bundle, scoring.out)
        _claim(scoring, settings, manifest)

        def cut() -> Iterator[Unit]:
            rows = _rows_to_retry(source, chosen, plan.sample)
            for unit in cut_samples(rows, settings.ray.unit_bytes, plan.sample):
                yield Unit(tables.digest([unit.unit_id, manifest["generation"]]), unit.rows)  # no id of an earlier one

        units = planned_units(scoring.out, cut)
        done = tables.finished_parts(scoring.out)
        todo = [unit for unit in units if unit.unit_id not in done]
        if todo:
            with cluster(settings.ray):
                for _ in progress(run_units(todo, scoring, plan, key), total=len(todo), what="retry"):
                    pass
        manifest = _merge(settings, scoring, chosen, [unit.unit_id for unit in units], plan.schema_of(plan.outputs[0]))
    verify(out)
    say_funnels("retry", {"index": manifest["index_funnel"], "samples": manifest["funnel"]})
    return manifest


def _scoring(settings: RetrySettings, manifest: dict[str, Any]) -> ScoreSettings:
    """The settings of the scoring, with what the retry changes."""
    run = storage.read_json(storage.join(settings.predictions, tables.RUN))
    return ScoreSettings(
        manifest["source"],
        storage.join(settings.predictions, WORK),
        **manifest["scored_with"],
        batch_size=settings.batch_size,
        actors=settings.actors,
        use_gpu=settings.use_gpu,
        max_failed_fraction=settings.max_failed_fraction,
        probabilities=run["probabilities"],
        decode=settings.decode or DecodeSettings(**manifest["decode"]),
        ray=settings.ray,
    )


def _chosen(out: str, reasons: list[str]) -> pa.Table:
    """The samples that failed for one of the reasons.

    Raises:
        SettingsError: a word that is no reason.
    """
    if unknown := sorted(set(reasons) - {ALL, *Reason.__members__.values()}):
        raise SettingsError(f"There is no reason {unknown[0]!r}.", "docs/tables.md lists them; `all` is any of them.")
    rows = tables.read_table(out, ["sample_id", "object_id", "frame", "status", "reason"])
    failed = rows.filter(pc.equal(rows["status"], "failed"))
    found = failed if ALL in reasons else failed.filter(pc.is_in(failed["reason"], value_set=pa.array(reasons)))
    if not found.num_rows:
        counts = Counter(failed["reason"].to_pylist()).most_common()
        there = ", ".join(f"{reason} {count:,}" for reason, count in counts)
        cure = f"Failed are: {there}." if there else "No sample failed."
        say(f"retry: no sample of {out} failed for {', '.join(reasons)}. {cure}")
    return found


def _claim(scoring: ScoreSettings, settings: RetrySettings, manifest: dict[str, Any]) -> None:
    run = {
        "job": "retry",
        "generation": manifest["generation"],
        "reasons": sorted(set(settings.reason)),
        "decode": asdict(scoring.decode),
        "medray": __version__,
    }
    try:
        tables.claim(scoring.out, run)
    except OutputError as error:
        cure = f"Finish it by its own command, or delete {scoring.out} to give it up."
        raise OutputError(f"An unfinished retry is there: {error.what}", cure) from None


def _rows_to_retry(source: str, chosen: pa.Table, sample: SampleRecipe) -> pa.Table:
    if not sample.is_set:
        return rows_to_retry(to_score(source), chosen)
    keyed = with_sample_keys(to_score(source, INDEX.names), sample)
    again = keyed.filter(pc.is_in(keyed[SAMPLE_KEY], value_set=chosen["sample_id"].combine_chunks()))
    readable = again.filter(pc.equal(again["status"], "ok"))[SAMPLE_KEY].combine_chunks()
    return again.filter(pc.is_in(again[SAMPLE_KEY], value_set=readable))


def _merge(
    settings: RetrySettings, scoring: ScoreSettings, chosen: pa.Table, unit_ids: list[str], schema: pa.Schema
) -> dict[str, Any]:
    """The next generation of the table: rows that stay, then those of the retry; its manifest last."""
    out, manifest = settings.predictions, tables.read_manifest(settings.predictions)
    again = [*tables.iter_parts(scoring.out, unit_ids, ["sample_id", "object_id", "status", "reason"])]
    new, counts = Funnel(), Funnel()
    scored = pa.concat_tables(new.counted(again)) if again else chosen.select(["sample_id", "object_id"]).slice(0, 0)
    replaced = _replaced(chosen, scored)
    facts = {name: value for name, value in manifest.items() if name not in OF_A_GENERATION}
    facts["setups"] |= recorded_setups(scoring.out)
    entry = {
        "reasons": sorted(set(settings.reason)),
        "retried": len(replaced),
        "ok": new.status["ok"],
        "failed": {name.partition(":")[2]: count for name, count in new.reasons.items()},
        "failed_while_indexed": chosen.num_rows - len(replaced),
        "units": len(unit_ids),
        "decode": asdict(scoring.decode),
        "code": code_version(),
    }
    facts["retries"] = [*facts.get("retries", ()), entry]

    def rows() -> Iterator[pa.Table]:
        for table in tables.iter_tables(out):
            yield table.filter(pc.invert(pc.is_in(table["sample_id"], value_set=replaced)))
        yield from tables.iter_parts(scoring.out, unit_ids)

    finished = tables.finish(
        out, "predictions", counts.counted(rows()), schema=schema, facts=lambda: {**facts, "funnel": counts.facts()}
    )
    _say(entry)
    _tidy(out, finished)
    return finished


def _replaced(chosen: pa.Table, scored: pa.Table) -> pa.Array:
    """Ids of the chosen samples that were scored again; those of objects that failed while indexed were not."""
    whole = pc.and_(
        pc.is_null(chosen["frame"]), pc.is_in(chosen["object_id"], value_set=scored["object_id"].combine_chunks())
    )
    same = pc.is_in(chosen["sample_id"], value_set=scored["sample_id"].combine_chunks())
    return chosen.filter(pc.or_(same, pc.fill_null(whole, False)))["sample_id"].combine_chunks()


def _say(entry: dict[str, Any]) -> None:
    failed = ", ".join(f"{reason} {count:,}" for reason, count in entry["failed"].items())
    say(f"retry: {entry['retried']:,} samples scored again: ok {entry['ok']:,}" + (f"; {failed}" if failed else ""))
    if entry["failed_while_indexed"]:
        say(
            f"retry: {entry['failed_while_indexed']:,} failed while they were indexed and stay as they are. Index the "
            "archive again with --restart true, and score the index into a new --out."
        )


def _tidied_up(out: str, manifest: dict[str, Any], settings: RetrySettings) -> bool:
    """End a retry that was cut off behind its manifest; whether it was the one that is asked for."""
    work = storage.join(out, WORK)
    names = storage.names(work)
    if not names:
        return False
    run = storage.read_json(storage.join(work, tables.RUN)) if tables.RUN in names else {}
    if run.get("generation") == manifest["generation"]:
        return False  # it is under way
    _tidy(out, manifest)
    return bool(run) and run["reasons"] == sorted(set(settings.reason))


def _tidy(out: str, manifest: dict[str, Any]) -> None:
    """Remove what the new generation has no use for, the work last: files of the earlier one, stale explanations."""
    for name in storage.names(out):
        if name.startswith("predictions-") and name.endswith(".parquet") and name not in manifest["files"]:
            storage.delete(storage.join(out, name))
    try:
        verify_explanations(out)
    except OutputError:
        storage.delete(storage.join(out, tables.EXPLANATIONS))
        say("retry: its explanations were of the rows before and are dropped; `medray score --explain` makes new ones.")
    storage.delete(storage.join(out, WORK))
