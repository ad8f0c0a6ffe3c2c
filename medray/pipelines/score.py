"""`medray score`: index → units → warm model actors, which write a part file a unit → predictions, manifest last."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa

from medray import __version__, stages, storage, tables
from medray.archive.identity import load_key
from medray.errors import Reason, TooManyFailedError
from medray.pipelines.aggregate import aggregate_predictions
from medray.pipelines.cluster import cluster
from medray.pipelines.explain import check_explanations, explain_predictions
from medray.pipelines.funnel import Funnel
from medray.pipelines.index import ensure_index, generation_of, known_index
from medray.pipelines.progress import Progress, say, say_funnels
from medray.pipelines.scorer import run_units
from medray.pipelines.setups import recorded_setups
from medray.pipelines.units import PlannedUnit
from medray.pipelines.verify import UNIT_COLUMNS, objects_to_score, slices_to_score, verify
from medray.pipelines.warmth import warmth
from medray.pipelines.waves import SLICE_ROWS, planned_waves, slices_of_samples
from medray.samples.frame_sets import cut_samples
from medray.schema import INDEX, MODELS
from medray.scoring.plan import Output, ScoringPlan, plan_scoring, scored_with
from medray.scoring.provenance import code_version
from medray.settings import ScoreSettings


def score(settings: ScoreSettings) -> dict[str, Any]:
    """Score an archive, or go on where an earlier run of the same command stopped; the manifest.

    Raises:
        BundleError: no bundle, or one of another version.
        SettingsError: something is asked for that a bundle's task does not have, or a mean of different classes.
        OutputError: the output folder holds something else.
        TooManyFailedError: the predictions are finished, and too many samples failed, now or in the run that made them.
    """
    settings = replace(
        settings, out=storage.absolute(settings.out), bundle=[storage.absolute(uri) for uri in settings.bundles]
    )
    plan, key = plan_scoring(settings), load_key(settings.key_file)
    explaining = _to_explain(settings, plan)
    with ExitStack() as ray_stays:
        manifest = _scored(settings, plan, key, ray_stays)
        for each in explaining:
            explain_predictions(each, key)
    if settings.aggregate != "off":
        for output in plan.outputs:
            aggregate_predictions(output.uri, settings.aggregate, settings.aggregate_to)
    check_failures(settings.max_failed_fraction, [tables.read_manifest(output.uri) for output in plan.outputs])
    return manifest


def _to_explain(settings: ScoreSettings, plan: ScoringPlan) -> list[ScoreSettings]:
    """Settings of the second pass over the predictions of each bundle that are still to explain; a mean has no heat."""
    own = [
        replace(settings, out=output.uri, bundle=plan.members[output.members[0]].uri)
        for output in plan.outputs
        if len(output.members) == 1
    ]
    return [each for each, member in zip(own, plan.members, strict=True) if not check_explanations(each, member.bundle)]


def _run(settings: ScoreSettings, model_id: str | list[str]) -> dict[str, Any]:
    """What decides the rows."""
    return {
        "job": "score",
        "source": storage.absolute(settings.source),
        "index_generation": generation_of(known_index(settings.source, settings.key_file)),
        "model_id": model_id,
        "cross_check": settings.decode.cross_check,
        "probabilities": settings.probabilities,
        "medray": __version__,
    }


@dataclass(frozen=True)
class _Done:
    """What the manifests say of a run."""

    settings: ScoreSettings
    units: list[PlannedUnit]
    source: str
    ledger: list[dict[str, Any]]
    plan: ScoringPlan
    watch: Progress

    def facts(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "source_generation": generation_of(self.source),
            "units": len(self.units),
            "units_this_run": len(self.ledger),
            "units_retried": sum(row["died"] > 0 for row in self.ledger),  # of this run: their workers died
            **warmth(self.ledger, self.plan),
            "run": self.watch.summary(),
        }


def _scored(settings: ScoreSettings, plan: ScoringPlan, key: bytes, ray_stays: ExitStack) -> dict[str, Any]:
    ids = [output.model_id for output in plan.outputs]
    run = _run(settings, ids if len(ids) > 1 else ids[0])
    if tables.is_finished(settings.out, run):
        manifest = tables.read_manifest(settings.out)
        tables.clear(settings.out, manifest)  # an earlier run may have been ended behind its manifest
        say(f"score: {settings.out} is finished already ({manifest['rows']:,} rows)")
        return manifest
    watch = Progress("score", price_per_hour=settings.price_per_hour)
    tables.claim(settings.out, run)
    stages.reach("claimed")
    ray_stays.enter_context(cluster(settings.ray))  # for the explanations too
    own = storage.join(settings.out, tables.OWN_INDEX)
    source = ensure_index(settings.source, own, settings.key_file, settings.ray)
    unfinished = tuple(each for each in plan.outputs if not tables.claim(each.uri, {**run, "model_id": each.model_id}))
    work = _Work(settings, replace(plan, outputs=unfinished), key)
    if work.done:
        say(f"score: {len(work.done):,} units are finished already")
    ledger = list(
        watch.over(work.ledger(_waves(settings, plan, source)), total=objects_to_score(source), step="objects")
    )
    finished = _Done(settings, work.units, source, [row for row in ledger if "unit_id" in row], plan, watch)
    for output in unfinished:
        manifest = _finish(output, finished)
    watch.say_summary(watch.summary())
    return manifest if len(ids) == 1 else _list_models(settings.out, finished)


def _waves(settings: ScoreSettings, plan: ScoringPlan, source: str) -> Iterator[list[PlannedUnit]]:
    columns = INDEX.names if plan.sample.is_set else UNIT_COLUMNS  # slices are ordered by their geometry
    read = partial(slices_to_score, source, SLICE_ROWS, columns)
    slices = slices_of_samples(read, objects_to_score(source), plan.sample)
    cut = partial(cut_samples, sample=plan.sample)
    return planned_waves(settings.out, slices, settings.ray.unit_bytes, cut)


@dataclass
class _Work:
    """The units of a run, as they were planned, and those that earlier runs finished for each of its tables."""

    settings: ScoreSettings
    plan: ScoringPlan
    key: bytes = field(repr=False)
    done: set[str] = field(init=False)
    units: list[PlannedUnit] = field(default_factory=list)

    def __post_init__(self) -> None:
        finished = [tables.finished_parts(output.uri) for output in self.plan.outputs]
        self.done = set.intersection(*finished) if finished else set()

    def ledger(self, waves: Iterator[list[PlannedUnit]]) -> Iterator[dict[str, Any]]:
        """A row for each unit that is done, and one in front of each wave for what earlier runs did of it."""
        for wave in waves:
            self.units += wave
            todo = {unit.unit_id: unit for unit in wave if self.plan.outputs and unit.unit_id not in self.done}
            earlier = sum(unit.objects for unit in wave) - sum(unit.objects for unit in todo.values())
            yield {"objects": earlier}
            stages.reach("planned")
            for row in run_units(list(todo.values()), self.settings, self.plan, self.key) if todo else ():
                yield {**row, "objects": todo[row["unit_id"]].objects}
                stages.reach("unit")
        stages.reach("finishing")


def _finish(output: Output, done: _Done) -> dict[str, Any]:
    counts = Funnel()
    parts = counts.counted(tables.iter_parts(output.uri, [unit.unit_id for unit in done.units]))
    facts: dict[str, Any] = {
        **{name: getattr(output, name) for name in ("model_id", "recipe_id", "task", "threshold")},
        "classes": list(output.classes),
        "sample": asdict(done.plan.sample),
        "scored_with": scored_with(done.settings, done.plan, output),
        "code": code_version(),
        "decode": asdict(done.settings.decode),
        **output.rule,
        **done.facts(),
        "index_funnel": tables.read_manifest(done.source)["funnel"],
    }
    manifest = tables.finish(
        output.uri,
        "predictions",
        parts,
        schema=done.plan.schema_of(output),
        facts=lambda: {
            **facts,
            "setups": recorded_setups(done.settings.out),
            "samples_isolated": isolated_of(counts),
            "funnel": counts.facts(),
        },
    )
    verify(output.uri)
    say(f"score: {manifest['rows']:,} rows in {output.uri}")
    say_funnels("score", {"index": manifest["index_funnel"], "samples": manifest["funnel"]})
    return manifest


def _list_models(out: str, done: _Done) -> dict[str, Any]:
    """The table of tables, written last: with it, the run over several bundles is finished."""
    rows = [
        {**vars(output), "mean_over": output.rule.get("mean_over", []), **counts_of(output.uri)}
        for output in done.plan.outputs
    ]
    listed = pa.Table.from_pylist([{name: row[name] for name in MODELS.names} for row in rows], schema=MODELS)
    return tables.finish(out, "models", [listed], schema=MODELS, facts=done.facts)


def counts_of(predictions: str) -> dict[str, int]:
    """What the table of tables says of one of them."""
    status = tables.read_manifest(predictions)["funnel"]["status"]
    return {"rows": sum(status.values()), "ok": status.get("ok", 0), "failed": status.get("failed", 0)}


def isolated_of(counts: Funnel) -> int:
    """Samples that were given up because they ended or stalled their workers."""
    return sum(counts.reasons[f"failed:{reason}"] for reason in (Reason.WORKER_KILLED, Reason.WORKER_STALLED))


def check_failures(max_failed_fraction: float, manifests: Sequence[dict[str, Any]]) -> None:
    """Refuse a share of failed samples, in any of the tables, that the user does not allow.

    Raises:
        TooManyFailedError: there are more.
    """
    statuses = [manifest["funnel"]["status"] for manifest in manifests]
    share = max(status.get("failed", 0) / max(sum(status.values()), 1) for status in statuses)
    if share > max_failed_fraction:
        raise TooManyFailedError(
            f"{share:.1%} of the samples failed, more than {max_failed_fraction:.1%}.",
            "The predictions are finished and whole; their reasons tell why.",
        )
