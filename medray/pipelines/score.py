"""`medray score`: index → units → warm model actors, each writing its unit's part file → predictions, manifest last."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray.data
import torch

from medray import __version__, stages, storage, tables
from medray.archive.identity import load_key
from medray.errors import Reason, SettingsError, TooManyFailedError
from medray.image_settings import DecodeSettings
from medray.label_settings import TaskName
from medray.pipelines.cluster import cluster, cpus, gpus
from medray.pipelines.explain import check_explanations, explain_predictions
from medray.pipelines.index import Funnel, ensure_index, generation_of, known_index
from medray.pipelines.progress import progress, say
from medray.pipelines.units import (
    PlannedUnit,
    WithoutText,
    ledger_row,
    on_actors,
    planned_units,
    unit_dataset,
    unit_of,
)
from medray.pipelines.verify import to_score, verify
from medray.pipelines.watch import UnitWatch, Watched, is_taken_apart
from medray.pipelines.watchdog import watched_ledger
from medray.samples.guarded import OfSamples, apart
from medray.samples.isolated import isolated_images_of, prepare_unit, start_decoding_process
from medray.samples.tables import InputKind, from_ipc, to_graphs, to_ipc
from medray.samples.units import cut_units
from medray.schema import PREDICTIONS, SEGMENTATIONS
from medray.scoring.segmentations import segment_samples
from medray.scoring.table import score_samples
from medray.settings import Recipe, ScoreSettings
from medray.training.bundle import Bundle, load_bundle

APART = 64  # graphs that are built at once where a unit is taken apart
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
    watch: UnitWatch

    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """One row that says where the unit lies, and holds its prepared samples."""
        recipe, kind = self.bundle.recipe, self.bundle.prepared_kind
        with self.watch.over(unit.unit_id, "prepare") as died:
            if is_taken_apart(died, self.watch.ray) and kind != "image":
                images = isolated_images_of(unit.rows(), self.key, recipe, self.decode)
                samples = apart(images, partial(_graphing, recipe, kind), APART, self.watch.ray.stalled_s)
            else:
                samples = prepare_unit(unit.rows(), self.key, recipe, kind, decode=self.decode)
        packed = pa.array([to_ipc(samples)], pa.large_binary())
        return pa.Table.from_pylist([vars(unit)]).append_column("samples", packed)


def _graphing(recipe: Recipe, kind: InputKind) -> OfSamples:
    return partial(to_graphs, recipe=recipe, kind=kind)


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
    def __call__(self, block: pa.Table, died: int = 0) -> pa.Table:
        """Score the unit that a row names; its ledger row. `died` tells how often it has ended an actor."""
        started, unit = time.monotonic(), unit_of(block)
        rows, part = unit.rows(), tables.part_uri(self.settings.out, unit.unit_id)
        if died and storage.exists(part):  # it was ended behind its PUT
            predictions = storage.read_parquet(part, ["status"])
        else:
            way = self._apart if is_taken_apart(died, self.settings.ray) else self._together
            predictions = way(block, rows, unit.unit_id)
            stages.reach("write", unit.unit_id)
            storage.write_parquet(part, predictions)
            stages.reach("written", unit.unit_id)
        size = int(pc.sum(rows["length"]).as_py() or 0)
        return ledger_row(unit.unit_id, predictions["status"].to_pylist(), started, size)

    def _together(self, block: pa.Table, rows: pa.Table, unit_id: str) -> pa.Table:
        if "samples" in block.column_names:
            samples = from_ipc(block["samples"][0].as_buffer())
        else:
            kind, decode = self.bundle.prepared_kind, self.settings.decode
            samples = prepare_unit(rows, self.key, self.bundle.recipe, kind, decode=decode)
        return self.answer(samples, rows, unit_id)

    def _apart(self, block: pa.Table, rows: pa.Table, unit_id: str) -> pa.Table:
        """As `_together`, but nothing that could end a process happens in this one."""
        settings, kind = replace(self.settings, stages="actors"), self.bundle.prepared_kind
        if "samples" in block.column_names:
            samples, kind = from_ipc(block["samples"][0].as_buffer()), "image"
        else:
            samples = isolated_images_of(rows, self.key, self.bundle.recipe, settings.decode)
        load = partial(_answering, settings, self.key, rows=rows, unit_id=unit_id, kind=kind)
        return apart(samples, load, settings.batch_size, settings.ray.stalled_s)

    def answer(self, samples: pa.Table, rows: pa.Table, unit_id: str) -> pa.Table:
        """The rows of the output for prepared samples."""
        answer = ANSWERS[self.bundle.task].answer
        return answer(samples, rows, self.bundle, self.model, unit_id=unit_id, settings=self.settings)


def _answering(settings: ScoreSettings, key: bytes, *, rows: pa.Table, unit_id: str, kind: InputKind) -> OfSamples:
    """Images (or what else a model actor is given) to rows, for a process of its own."""
    scorer = Scorer(settings, key)

    def answered(samples: pa.Table) -> pa.Table:
        prepared = samples if kind == "image" else to_graphs(samples, scorer.bundle.recipe, kind)
        return scorer.answer(prepared, rows, unit_id)

    return answered


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
        tables.clear(settings.out, manifest)  # an earlier run may have been ended behind its manifest
        say(f"score: {settings.out} is finished already ({manifest['rows']:,} rows)")
        return manifest
    tables.claim(settings.out, run)
    stages.reach("claimed")
    ray_stays.enter_context(cluster(settings.ray))  # for the explanations too
    own = storage.join(settings.out, tables.OWN_INDEX)
    source = ensure_index(settings.source, own, settings.key_file, settings.ray)
    units = planned_units(settings.out, lambda: cut_units(to_score(source), settings.ray.unit_bytes))
    stages.reach("planned")
    done = tables.finished_parts(settings.out)
    todo = [unit for unit in units if unit.unit_id not in done]
    if done:
        say(f"score: {len(units) - len(todo)} of {len(units)} units are finished already")
    ledger = []
    for row in _run_units(todo, settings, bundle, key) if todo else ():
        ledger.append(row)
        stages.reach("unit")
    stages.reach("finishing")
    return _finish(settings, bundle, units, source, ledger)


def _run_units(
    todo: list[PlannedUnit], settings: ScoreSettings, bundle: Bundle, key: bytes
) -> Iterator[dict[str, Any]]:
    actors = settings.actors or (gpus() if settings.use_gpu else cpus())
    watch = UnitWatch(settings.ray, settings.decode.frame_seconds)
    if settings.stages == "fused":
        worker, ray_settings = (watch, Scorer, (settings, key)), watch.for_ray(len(todo))
        dataset = on_actors(todo, Watched, worker, actors=actors, settings=ray_settings, gpu=settings.use_gpu)
    else:
        preparer = UnitPreparer(replace(bundle, weights={}), key, settings.decode, watch)
        dataset = _two_stages(todo, settings, preparer, actors)
    return progress(watched_ledger(dataset, "score", watch), total=len(todo), what="score", count="rows")


def _two_stages(todo: list[PlannedUnit], settings: ScoreSettings, preparer: UnitPreparer, actors: int) -> Any:
    """Tasks that prepare units, and model actors behind them."""
    ray_settings = preparer.watch.for_ray(len(todo))
    prepared = unit_dataset(todo, preparer, name="prepare", settings=ray_settings, num_cpus=HALF)
    return prepared.map_batches(
        Watched,
        fn_constructor_args=(preparer.watch, Scorer, (settings, preparer.key)),
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=max(1, min(actors, len(todo)))),
        num_gpus=1 if settings.use_gpu else 0,
        num_cpus=HALF,
        max_restarts=ray_settings.max_retries,
        max_task_retries=ray_settings.max_retries,
    )


def _finish(
    settings: ScoreSettings, bundle: Bundle, units: list[PlannedUnit], source: str, ledger: list[dict[str, Any]]
) -> dict[str, Any]:
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
        "units_this_run": len(ledger),
        "units_retried": sum(row["died"] > 0 for row in ledger),  # of this run: their workers died
        "index_funnel": tables.read_manifest(source)["funnel"],
    }
    manifest = tables.finish(
        settings.out,
        "predictions",
        parts,
        schema=ANSWERS[bundle.task].schema,
        facts=lambda: {**facts, "samples_isolated": isolated_of(counts), "funnel": counts.facts()},
    )
    said = ", ".join(f"{name} {count:,}" for name, count in verify(settings.out).items())
    say(f"score: {said}; predictions in {settings.out}")
    return manifest


def isolated_of(counts: Funnel) -> int:
    """Samples that were given up because they ended or stalled their workers."""
    return sum(counts.reasons[f"failed:{reason}"] for reason in (Reason.WORKER_KILLED, Reason.WORKER_STALLED))


def _check_failures(settings: ScoreSettings, status: dict[str, int]) -> None:
    share = status.get("failed", 0) / max(sum(status.values()), 1)
    if share > settings.max_failed_fraction:
        raise TooManyFailedError(
            f"{share:.1%} of the samples failed, more than {settings.max_failed_fraction:.1%}.",
            "The predictions are finished and whole; their reasons tell why.",
        )
