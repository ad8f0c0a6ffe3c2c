"""`medray score`: index → units → warm model actors, each writing its unit's part file → predictions, manifest last."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray.data
import torch

from medray import __version__, storage, tables
from medray.archive.identity import load_key
from medray.errors import SettingsError, TooManyFailedError
from medray.image_settings import DecodeSettings
from medray.label_settings import TaskName
from medray.pipelines.cluster import cluster, cpus, gpus
from medray.pipelines.explain import check_explanations, explain_predictions
from medray.pipelines.funnel import Funnel
from medray.pipelines.index import ensure_index, generation_of, known_index
from medray.pipelines.progress import progress, say, say_funnels
from medray.pipelines.setups import record_setup, recorded_setups
from medray.pipelines.units import (
    PlannedUnit,
    WithoutText,
    ledger_of,
    ledger_row,
    on_actors,
    planned_units,
    unit_dataset,
    unit_of,
)
from medray.pipelines.verify import to_score, verify
from medray.samples.isolated import prepare_unit, start_decoding_process
from medray.samples.units import cut_units
from medray.schema import PREDICTIONS, SEGMENTATIONS
from medray.scoring.provenance import code_version
from medray.scoring.segmentations import segment_samples
from medray.scoring.table import score_samples
from medray.scoring.wanted import wanted_samples
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

    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """One row that says where the unit lies, and holds its prepared samples."""
        samples = prepare_unit(unit.rows(), self.key, self.bundle.recipe, self.bundle.prepared_kind, decode=self.decode)
        packed = pa.array([to_ipc(samples)], pa.large_binary())
        return pa.Table.from_pylist([vars(unit)]).append_column("samples", packed)


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
        record_setup(settings, self.device)

    @WithoutText()
    def __call__(self, block: pa.Table) -> pa.Table:
        """Score the unit that a row names; its ledger row."""
        started = time.monotonic()
        unit = unit_of(block)
        rows = unit.rows()
        if "samples" in block.column_names:
            samples = pa.ipc.open_stream(block["samples"][0].as_buffer()).read_all()
        else:
            kind, decode = self.bundle.prepared_kind, self.settings.decode
            samples = prepare_unit(rows, self.key, self.bundle.recipe, kind, decode=decode)
        samples = wanted_samples(samples, rows)
        answer = ANSWERS[self.bundle.task].answer
        predictions = answer(samples, rows, self.bundle, self.model, unit_id=unit.unit_id, settings=self.settings)
        storage.write_parquet(tables.part_uri(self.settings.out, unit.unit_id), predictions)
        size = int(pc.sum(rows["length"]).as_py() or 0)
        return ledger_row(unit.unit_id, predictions["status"].to_pylist(), started, size)


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
    check_failures(settings, manifest["funnel"]["status"])
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
    tables.claim(settings.out, run)
    ray_stays.enter_context(cluster(settings.ray))  # for the explanations too
    own = storage.join(settings.out, tables.OWN_INDEX)
    source = ensure_index(settings.source, own, settings.key_file, settings.ray)
    units = planned_units(settings.out, lambda: cut_units(to_score(source), settings.ray.unit_bytes))
    done = tables.finished_parts(settings.out)
    todo = [unit for unit in units if unit.unit_id not in done]
    if done:
        say(f"score: {len(units) - len(todo)} of {len(units)} units are finished already")
    ledger = list(run_units(todo, settings, bundle, key)) if todo else []
    return _finish(settings, bundle, units, source, ledger)


def run_units(todo: list[PlannedUnit], settings: ScoreSettings, bundle: Bundle, key: bytes) -> Iterator[dict[str, Any]]:
    """Score units; their ledger rows as they finish."""
    actors = settings.actors or (gpus() if settings.use_gpu else cpus())
    if settings.stages == "fused":
        dataset = on_actors(todo, Scorer, (settings, key), actors=actors, settings=settings.ray, gpu=settings.use_gpu)
    else:
        preparer = UnitPreparer(replace(bundle, weights={}), key, settings.decode)
        dataset = _two_stages(todo, settings, preparer, actors)
    return progress(ledger_of(dataset, "score"), total=len(todo), what="score", count="rows")


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


def _finish(
    settings: ScoreSettings, bundle: Bundle, units: list[PlannedUnit], source: str, ledger: list[dict[str, Any]]
) -> dict[str, Any]:
    counts = Funnel()
    parts = counts.counted(tables.iter_parts(settings.out, [unit.unit_id for unit in units]))
    facts: dict[str, Any] = {
        "model_id": bundle.model_id,
        "bundle": settings.bundle,
        "code": code_version(),
        "decode": asdict(settings.decode),
        "recipe_id": bundle.recipe.id(),
        "task": bundle.task,
        "classes": list(bundle.classes),
        "source": source,
        "source_generation": generation_of(source),
        "units": len(units),
        "units_this_run": len(ledger),
        "index_funnel": tables.read_manifest(source)["funnel"],
    }
    manifest = tables.finish(
        settings.out,
        "predictions",
        parts,
        schema=ANSWERS[bundle.task].schema,
        facts=lambda: {**facts, "setups": recorded_setups(settings.out), "funnel": counts.facts()},
    )
    verify(settings.out)
    say(f"score: {manifest['rows']:,} rows in {settings.out}")
    say_funnels("score", {"index": manifest["index_funnel"], "samples": manifest["funnel"]})
    return manifest


def check_failures(settings: ScoreSettings, status: dict[str, int]) -> None:
    """Refuse a share of failed samples that the user does not allow.

    Raises:
        TooManyFailedError: there are more.
    """
    share = status.get("failed", 0) / max(sum(status.values()), 1)
    if share > settings.max_failed_fraction:
        raise TooManyFailedError(
            f"{share:.1%} of the samples failed, more than {settings.max_failed_fraction:.1%}.",
            "The predictions are finished and whole; their reasons tell why.",
        )
