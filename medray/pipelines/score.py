"""`medray score`: index → units → warm model actors, each writing its unit's part file → predictions, manifest last."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import ray.data
import torch

from medray import __version__, storage, tables
from medray.archive.identity import load_key
from medray.errors import SettingsError, TooManyFailedError
from medray.image_settings import DecodeSettings
from medray.label_settings import TaskName
from medray.pipelines.cluster import cluster, cpus, gpus
from medray.pipelines.explain import check_explanations, explain_predictions
from medray.pipelines.index import Funnel, ensure_index, generation_of, known_index
from medray.pipelines.progress import Watch, say
from medray.pipelines.units import (
    PlannedUnit,
    WithoutText,
    ledger_of,
    ledger_row,
    on_actors,
    unit_dataset,
    unit_of,
)
from medray.pipelines.verify import slices_to_score, verify
from medray.pipelines.waves import SLICE_ROWS, planned_waves
from medray.samples.isolated import prepare_unit, start_decoding_process
from medray.samples.stages import Taken, running, stage, unit_clock
from medray.schema import PREDICTIONS, SEGMENTATIONS
from medray.scoring.segmentations import segment_samples
from medray.scoring.table import score_samples
from medray.settings import ScoreSettings
from medray.training.bundle import Bundle, load_bundle

HALF = 0.5  # the share of a CPU that a read task asks for, and a model actor: with less left, neither ever starts


@dataclass(frozen=True)
class Answers:
    """How the samples of a unit become rows, and of which schema."""

    answer: Callable[..., pa.Table]
    schema: pa.Schema


ANSWERS: dict[TaskName, Answers] = {
    "classify": Answers(score_samples, PREDICTIONS),
    "segment": Answers(segment_samples, SEGMENTATIONS),
}


@dataclass(frozen=True)
class UnitPreparer:
    """Reads, decodes and prepares a unit in a task of its own (`actors`); the table travels as one value."""

    bundle: Bundle
    key: bytes = field(repr=False)
    decode: DecodeSettings

    @unit_clock("prepare")
    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """One row that says where the unit lies, and holds its prepared samples and what they took."""
        samples = prepare_unit(unit.rows(), self.key, self.bundle.recipe, self.bundle.prepared_kind, decode=self.decode)
        packed = pa.array([to_ipc(samples)], pa.large_binary())
        return pa.Table.from_pylist([{**vars(unit), "taken": running().taken().packed()}]).append_column(
            "samples", packed
        )


def to_ipc(table: pa.Table) -> bytes:
    """A table as bytes of Arrow's stream format."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


class Scorer:
    """A warm actor: loads the model once, scores a unit a call, writes its part file in one PUT."""

    def __init__(self, settings: ScoreSettings, key: bytes) -> None:
        torch.set_num_threads(1)
        if settings.stages == "fused":
            start_decoding_process()
        self.settings, self.key = settings, key
        self.device = "cuda" if settings.use_gpu else "cpu"
        self.bundle = load_bundle(settings.bundle)
        self.model = self.bundle.build_model().to(self.device)

    @WithoutText()
    @unit_clock("score")
    def __call__(self, block: pa.Table) -> pa.Table:
        """Score the unit that a row names; its ledger row."""
        unit = unit_of(block)
        rows = unit.rows()
        if "samples" in block.column_names:
            running().add(Taken.unpacked(block["taken"][0].as_py()))
            samples = pa.ipc.open_stream(block["samples"][0].as_buffer()).read_all()
        else:
            kind, decode = self.bundle.prepared_kind, self.settings.decode
            samples = prepare_unit(rows, self.key, self.bundle.recipe, kind, decode=decode)
        answer = ANSWERS[self.bundle.task].answer
        with stage("forward"):
            predictions = answer(samples, rows, self.bundle, self.model, unit_id=unit.unit_id, settings=self.settings)
        with stage("write"):
            storage.write_parquet(tables.part_uri(self.settings.out, unit.unit_id), predictions)
        return ledger_row(unit.unit_id, predictions)


def score(settings: ScoreSettings) -> dict[str, Any]:
    """Score an archive, or go on where an earlier run of the same command stopped; the manifest.

    Raises:
        BundleError: no bundle, or one of another version.
        SettingsError: something is asked for that the bundle's task does not have.
        OutputError: the output folder holds something else.
        TooManyFailedError: the predictions are finished, and too many samples failed, now or in the run that made them.
    """
    settings = replace(settings, out=storage.absolute(settings.out), bundle=storage.absolute(settings.bundle))
    bundle, key = load_bundle(settings.bundle), load_key(settings.key_file)
    if settings.probabilities and bundle.task != "segment":
        raise SettingsError("--probabilities is of masks; the rows of a classification always have them.")
    explained = check_explanations(settings, bundle)
    with ExitStack() as ray_stays:
        manifest = _scored(settings, bundle, key, ray_stays)
        if not explained:
            explain_predictions(settings, key)
    _check_failures(settings, manifest["funnel"]["status"])
    return manifest


def _scored(settings: ScoreSettings, bundle: Bundle, key: bytes, ray_stays: ExitStack) -> dict[str, Any]:
    run = {
        "job": "score",
        "source": storage.absolute(settings.source),
        "index_generation": generation_of(known_index(settings.source, settings.key_file)),
        "model_id": bundle.model_id,
        "cross_check": settings.decode.cross_check,
        "probabilities": settings.probabilities,
        "medray": __version__,
    }
    if tables.is_finished(settings.out, run):
        manifest = tables.read_manifest(settings.out)
        say(f"score: {settings.out} is finished already ({manifest['rows']:,} rows)")
        return manifest
    watch = Watch("score", price_per_hour=settings.price_per_hour)
    tables.claim(settings.out, run)
    ray_stays.enter_context(cluster(settings.ray))  # for the explanations too
    own = storage.join(settings.out, tables.OWN_INDEX)
    source = ensure_index(settings.source, own, settings.key_file, settings.ray)
    done = tables.finished_parts(settings.out)
    if done:
        say(f"score: {len(done):,} units are finished already")
    waves = planned_waves(settings.out, slices_to_score(source, SLICE_ROWS), settings.ray.unit_bytes)
    work = _Work(settings, bundle, key, done)
    objects = tables.read_manifest(source)["funnel"]["status"]
    total = objects.get("ok", 0) + objects.get("failed", 0)
    for _ in watch.over(work.ledger(waves), total=total, step="objects"):
        pass
    return _finish(work, source, watch)


@dataclass
class _Work:
    """The units of a run, as they were planned, and those that earlier runs finished."""

    settings: ScoreSettings
    bundle: Bundle
    key: bytes = field(repr=False)
    done: set[str]
    units: list[PlannedUnit] = field(default_factory=list)

    def ledger(self, waves: Iterator[list[PlannedUnit]]) -> Iterator[dict[str, Any]]:
        """A row for each unit that is done, and one in front of each wave for what earlier runs did of it."""
        for wave in waves:
            self.units += wave
            todo = {unit.unit_id: unit for unit in wave if unit.unit_id not in self.done}
            yield {"objects": sum(unit.objects for unit in wave if unit.unit_id in self.done)}
            for row in ledger_of(self._dataset(list(todo.values())), "score") if todo else ():
                yield {**row, "objects": todo[row["unit_id"]].objects}

    def _dataset(self, todo: list[PlannedUnit]) -> Any:
        settings = self.settings
        actors = settings.actors or (gpus() if settings.use_gpu else cpus())
        if settings.stages == "actors":
            preparer = UnitPreparer(replace(self.bundle, weights={}), self.key, settings.decode)
            return _two_stages(todo, settings, preparer, actors)
        ray, gpu = settings.ray, settings.use_gpu
        return on_actors(todo, Scorer, (settings, self.key), actors=actors, settings=ray, gpu=gpu)


def _two_stages(todo: list[PlannedUnit], settings: ScoreSettings, preparer: UnitPreparer, actors: int) -> Any:
    """Tasks that prepare units, and model actors behind them."""
    prepared = unit_dataset(todo, preparer, name="prepare", settings=settings.ray, num_cpus=HALF)
    return prepared.map_batches(
        Scorer,
        fn_constructor_args=(settings, preparer.key),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=max(1, min(actors, len(todo)))),
        num_gpus=1 if settings.use_gpu else 0,
        num_cpus=HALF,
        max_restarts=settings.ray.max_retries,
        max_task_retries=settings.ray.max_retries,
    )


def _finish(work: _Work, source: str, watch: Watch) -> dict[str, Any]:
    settings, bundle, units = work.settings, work.bundle, work.units
    counts = Funnel()
    parts = counts.counted(tables.iter_parts(settings.out, [unit.unit_id for unit in units]))
    facts: dict[str, Any] = {
        "model_id": bundle.model_id,
        "recipe_id": bundle.recipe.id(),
        "task": bundle.task,
        "classes": list(bundle.classes),
        "source": source,
        "source_generation": generation_of(source),
        "units": len(units),
        "units_this_run": watch.tally.units,
        "index_funnel": tables.read_manifest(source)["funnel"],
    }
    manifest = tables.finish(
        settings.out,
        "predictions",
        parts,
        schema=ANSWERS[bundle.task].schema,
        facts=lambda: {**facts, "funnel": counts.facts(), "run": watch.summary()},
    )
    said = ", ".join(f"{name} {count:,}" for name, count in verify(settings.out).items())
    say(f"score: {said}; predictions in {settings.out}")
    watch.say_summary(manifest["run"])
    return manifest


def _check_failures(settings: ScoreSettings, status: dict[str, int]) -> None:
    share = status.get("failed", 0) / max(sum(status.values()), 1)
    if share > settings.max_failed_fraction:
        raise TooManyFailedError(
            f"{share:.1%} of the samples failed, more than {settings.max_failed_fraction:.1%}.",
            "The predictions are finished and whole; their reasons tell why.",
        )
