"""`medray score`: index → units → warm model actors, which write a part file a unit → predictions, manifest last."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray.data
import torch

from medray import __version__, storage, tables
from medray.archive.identity import load_key
from medray.errors import TooManyFailedError
from medray.image_settings import DecodeSettings
from medray.label_settings import TaskName
from medray.pipelines.aggregate import aggregate_predictions
from medray.pipelines.cluster import cluster, cpus, gpus
from medray.pipelines.explain import check_explanations, explain_predictions
from medray.pipelines.index import Funnel, ensure_index, generation_of, known_index
from medray.pipelines.progress import progress, say
from medray.pipelines.units import (
    PlannedUnit,
    WithoutText,
    ledger_of,
    ledger_row,
    on_actors,
    unit_dataset,
    unit_of,
)
from medray.pipelines.verify import objects_to_score, slices_to_score, verify
from medray.pipelines.warmth import warmth, with_loads
from medray.pipelines.waves import SLICE_ROWS, planned_waves
from medray.samples.inputs import ModelInput, prepare_inputs
from medray.samples.isolated import start_decoding_process
from medray.schema import MODELS, PREDICTIONS, SEGMENTATIONS
from medray.scoring.plan import Output, ScoringPlan, plan_scoring
from medray.scoring.warm import WarmModels
from medray.settings import ScoreSettings

HALF = 0.5  # the share of a CPU that a read task asks for, and a model actor: with less left, neither ever starts
SCHEMAS: dict[TaskName, pa.Schema] = {"classify": PREDICTIONS, "segment": SEGMENTATIONS}
PREPARED = "prepared-"  # columns of a block, one an input of the plan


@dataclass(frozen=True)
class UnitPreparer:
    """Reads, decodes and prepares a unit in a task of its own (`actors`); each input travels as one value."""

    inputs: tuple[ModelInput, ...]
    key: bytes = field(repr=False)
    decode: DecodeSettings

    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """One row that says where the unit lies, and holds its prepared samples."""
        block = pa.Table.from_pylist([vars(unit)])
        for number, samples in enumerate(prepare_inputs(unit.rows(), self.key, self.inputs, self.decode)):
            block = block.append_column(f"{PREPARED}{number}", pa.array([to_ipc(samples)], pa.large_binary()))
        return block


def to_ipc(table: pa.Table) -> bytes:
    """A table as bytes of Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


class Scorer:
    """A warm actor: loads the models once, scores a unit a call, writes its part file of each table in one PUT."""

    def __init__(self, settings: ScoreSettings, plan: ScoringPlan, key: bytes) -> None:
        torch.set_num_threads(1)
        if settings.stages == "fused":
            start_decoding_process()
        self.settings, self.plan, self.key = settings, plan, key
        self.models = WarmModels(plan, settings, "cuda" if settings.use_gpu else "cpu")

    @WithoutText()
    def __call__(self, block: pa.Table) -> pa.Table:
        """Score the unit that a row names; its ledger row."""
        started = time.monotonic()
        unit = unit_of(block)
        rows = unit.rows()
        answers = self.models.answer(self._inputs(block, rows), rows, unit.unit_id)
        for output, predictions in answers:
            storage.write_parquet(tables.part_uri(output.uri, unit.unit_id), predictions)
        size = int(pc.sum(rows["length"]).as_py() or 0)
        row = ledger_row(unit.unit_id, answers[0][1]["status"].to_pylist(), started, size)
        return with_loads(row, self.models.loads())

    def _inputs(self, block: pa.Table, rows: pa.Table) -> list[pa.Table]:
        if prepared := [name for name in block.column_names if name.startswith(PREPARED)]:
            return [pa.ipc.open_stream(block[name][0].as_buffer()).read_all() for name in prepared]
        return prepare_inputs(rows, self.key, self.plan.inputs, self.settings.decode)


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
    _check_failures(settings, plan.outputs)
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

    units: list[PlannedUnit]
    source: str
    ledger: list[dict[str, Any]]
    plan: ScoringPlan

    def facts(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "source_generation": generation_of(self.source),
            "units": len(self.units),
            "units_this_run": len(self.ledger),
            **warmth(self.ledger, self.plan),
        }


def _scored(settings: ScoreSettings, plan: ScoringPlan, key: bytes, ray_stays: ExitStack) -> dict[str, Any]:
    ids = [output.model_id for output in plan.outputs]
    run = _run(settings, ids if len(ids) > 1 else ids[0])
    if tables.is_finished(settings.out, run):
        manifest = tables.read_manifest(settings.out)
        say(f"score: {settings.out} is finished already ({manifest['rows']:,} rows)")
        return manifest
    tables.claim(settings.out, run)
    ray_stays.enter_context(cluster(settings.ray))  # for the explanations too
    own = storage.join(settings.out, tables.OWN_INDEX)
    source = ensure_index(settings.source, own, settings.key_file, settings.ray)
    unfinished = tuple(each for each in plan.outputs if not tables.claim(each.uri, {**run, "model_id": each.model_id}))
    work = _Work(settings, replace(plan, outputs=unfinished), key)
    if work.done:
        say(f"score: {len(work.done):,} units are finished already")
    waves = planned_waves(settings.out, slices_to_score(source, SLICE_ROWS), settings.ray.unit_bytes)
    ledger = list(progress(work.ledger(waves), total=objects_to_score(source), what="score", step="objects"))
    finished = _Done(work.units, source, [row for row in ledger if "unit_id" in row], plan)
    for output in unfinished:
        manifest = _finish(output, finished)
    return manifest if len(ids) == 1 else _list_models(settings.out, finished)


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
            yield {"objects": earlier, "rows": 0, "failed": 0}
            for row in ledger_of(self._dataset(list(todo.values())), "score") if todo else ():
                yield {**row, "objects": todo[row["unit_id"]].objects}

    def _dataset(self, todo: list[PlannedUnit]) -> Any:
        settings = self.settings
        arguments = (settings, self.plan, self.key)
        actors = settings.actors or (gpus() if settings.use_gpu else cpus())
        if settings.stages == "actors":
            return _two_stages(todo, arguments, actors)
        return on_actors(todo, Scorer, arguments, actors=actors, settings=settings.ray, gpu=settings.use_gpu)


def _two_stages(todo: list[PlannedUnit], arguments: tuple[ScoreSettings, ScoringPlan, bytes], actors: int) -> Any:
    """Tasks that prepare units, and model actors behind them."""
    settings, plan, key = arguments
    preparer = UnitPreparer(plan.inputs, key, settings.decode)
    prepared = unit_dataset(todo, preparer, name="prepare", settings=settings.ray, num_cpus=HALF)
    return prepared.map_batches(
        Scorer,
        fn_constructor_args=arguments,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=max(1, min(actors, len(todo)))),
        num_gpus=1 if settings.use_gpu else 0,
        num_cpus=HALF,
        max_restarts=settings.ray.max_retries,
        max_task_retries=settings.ray.max_retries,
    )


def _finish(output: Output, done: _Done) -> dict[str, Any]:
    counts = Funnel()
    parts = counts.counted(tables.iter_parts(output.uri, [unit.unit_id for unit in done.units]))
    facts: dict[str, Any] = {
        **{name: getattr(output, name) for name in ("model_id", "recipe_id", "task", "threshold")},
        "classes": list(output.classes),
        **output.rule,
        **done.facts(),
        "index_funnel": tables.read_manifest(done.source)["funnel"],
    }
    manifest = tables.finish(
        output.uri,
        "predictions",
        parts,
        schema=SCHEMAS[output.task],
        facts=lambda: {**facts, "funnel": counts.facts()},
    )
    said = ", ".join(f"{name} {count:,}" for name, count in verify(output.uri).items())
    say(f"score: {said}; predictions in {output.uri}")
    return manifest


def _list_models(out: str, done: _Done) -> dict[str, Any]:
    """The table of tables, written last: with it, the run over several bundles is finished."""
    rows = []
    for output in done.plan.outputs:
        status = tables.read_manifest(output.uri)["funnel"]["status"]
        counts = {"rows": sum(status.values()), "ok": status.get("ok", 0), "failed": status.get("failed", 0)}
        rows.append({**vars(output), "mean_over": output.rule.get("mean_over", []), **counts})
    listed = pa.Table.from_pylist([{name: row[name] for name in MODELS.names} for row in rows], schema=MODELS)
    return tables.finish(out, "models", [listed], schema=MODELS, facts=done.facts)


def _check_failures(settings: ScoreSettings, outputs: Sequence[Output]) -> None:
    statuses = [tables.read_manifest(output.uri)["funnel"]["status"] for output in outputs]
    share = max(status.get("failed", 0) / max(sum(status.values()), 1) for status in statuses)
    if share > settings.max_failed_fraction:
        raise TooManyFailedError(
            f"{share:.1%} of the samples failed, more than {settings.max_failed_fraction:.1%}.",
            "The predictions are finished and whole; their reasons tell why.",
        )
