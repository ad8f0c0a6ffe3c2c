"""Units to rows of predictions: warm model actors, which write a part file a unit, and tasks that prepare for them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import ray.data
import torch

from medray import stages, storage, tables
from medray.allocator import keep_freed_memory
from medray.image_settings import DecodeSettings
from medray.pipelines.cluster import cpus, gpus
from medray.pipelines.setups import record_setup
from medray.pipelines.units import HALF, PlannedUnit, WithoutText, ledger_row, on_actors, unit_dataset, unit_of
from medray.pipelines.warmth import with_loads
from medray.pipelines.watch import FIRST, Tries, UnitWatch, Watched, is_taken_apart
from medray.pipelines.watchdog import watched_ledger
from medray.samples.clock import Taken, running, stage, unit_clock
from medray.samples.guarded import OfSamples, apart
from medray.samples.inputs import ModelInput, input_of, prepare_inputs
from medray.samples.isolated import isolated_images_of, start_decoding_process
from medray.samples.tables import from_ipc, to_ipc
from medray.scoring.plan import Output, ScoringPlan
from medray.scoring.wanted import wanted_samples
from medray.scoring.warm import WarmModels, tables_of
from medray.settings import ScoreSettings

PREPARED = "prepared-"  # columns of a block, one an input of the plan

Answers = list[tuple[Output, pa.Table]]


@dataclass(frozen=True)
class UnitPreparer:
    """Reads, decodes and prepares a unit in a task of its own (`actors`); each table travels as one value.

    Beside them goes `died`, how often the unit has ended the process that prepared it.
    """

    inputs: tuple[ModelInput, ...]
    key: bytes = field(repr=False)
    decode: DecodeSettings
    watch: UnitWatch

    @unit_clock("prepare")
    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """One row that says where the unit lies, and holds its samples; none where they end whoever prepares them."""
        block = pa.Table.from_pylist([vars(unit)])
        with self.watch.over(unit.unit_id, "prepare") as died:
            block = block.append_column("died", pa.array([died], pa.int64()))
            if is_taken_apart(died, self.watch.ray):
                return block
            for number, samples in enumerate(prepare_inputs(unit.rows(), self.key, self.inputs, self.decode)):
                block = block.append_column(f"{PREPARED}{number}", pa.array([to_ipc(samples)], pa.large_binary()))
        return block.append_column("taken", pa.array([running().taken().packed()]))


class Scorer:
    """A warm actor: loads the models once, scores a unit a call, writes its part file of each table in one PUT."""

    def __init__(self, settings: ScoreSettings, plan: ScoringPlan, key: bytes) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        if settings.stages == "fused":
            start_decoding_process()
        self.settings, self.plan, self.key = settings, plan, key
        device = "cuda" if settings.use_gpu else "cpu"
        self.models = WarmModels(plan, settings, device)
        record_setup(settings, plan.members[0].bundle.recipe, device)

    @WithoutText()
    @unit_clock("score")
    def __call__(self, block: pa.Table, tries: Tries = FIRST) -> pa.Table:
        """Score the unit that a row names; its ledger row."""
        unit = unit_of(block)
        rows = unit.rows()
        parts = [tables.part_uri(output.uri, unit.unit_id) for output in self.plan.outputs]
        if tries.maybe_finished and all(storage.exists(part) for part in parts):
            outcome = storage.read_parquet(parts[0], ["status", "reason"])
        else:
            answers = self._answers(block, rows, unit.unit_id, tries.died)
            stages.reach("write", unit.unit_id)
            with stage("write"):
                for part, (_, predictions) in zip(parts, answers, strict=True):
                    storage.write_parquet(part, predictions)
            stages.reach("written", unit.unit_id)
            outcome = answers[0][1]
        return with_loads(ledger_row(unit.unit_id, outcome), self.models.loads())

    def _answers(self, block: pa.Table, rows: pa.Table, unit_id: str, died: int) -> Answers:
        prepared = [name for name in block.column_names if name.startswith(PREPARED)]
        given_up = self.settings.stages == "actors" and not prepared
        if given_up or is_taken_apart(died, self.settings.ray):
            return self._apart(rows, unit_id)
        if prepared:
            running().add(Taken.unpacked(block["taken"][0].as_py()))
            inputs = [from_ipc(block[name][0].as_buffer()) for name in prepared]
        else:
            inputs = prepare_inputs(rows, self.key, self.plan.inputs, self.settings.decode)
        with stage("forward"):
            return self.models.answer([wanted_samples(samples, rows) for samples in inputs], rows, unit_id)

    def _apart(self, rows: pa.Table, unit_id: str) -> Answers:
        """The same, but nothing that could end a process happens in this one."""
        settings, answers = self.settings, []
        for member in self.plan.members:
            recipe = self.plan.inputs[member.inputs[0]].image_recipe
            images = wanted_samples(isolated_images_of(rows, self.key, recipe, settings.decode), rows)
            load = partial(_answering, settings, replace(self.plan, members=(member,)), rows, unit_id)
            together = settings.samples_a_pass(member.bundle.recipe)
            with stage("forward"):
                answers.append(apart(images, load, together, settings.ray.stalled_s))
        return tables_of(self.plan, answers)


def _answering(settings: ScoreSettings, plan: ScoringPlan, rows: pa.Table, unit_id: str) -> OfSamples:
    """Images to the rows of a plan's only bundle, for a process of its own."""
    torch.set_num_threads(1)
    keep_freed_memory()
    models = WarmModels(plan, settings, "cuda" if settings.use_gpu else "cpu")
    inputs = [plan.inputs[place] for place in plan.members[0].inputs]

    def answered(images: pa.Table) -> pa.Table:
        return models.of_bundle(0, [input_of(images, wanted) for wanted in inputs], rows, unit_id)

    return answered


def run_units(
    todo: list[PlannedUnit], settings: ScoreSettings, plan: ScoringPlan, key: bytes
) -> Iterator[dict[str, Any]]:
    """Score units; their ledger rows as they finish."""
    watch = UnitWatch(settings.ray, settings.decode.frame_seconds)
    actors = settings.actors or (gpus() if settings.use_gpu else cpus())
    worker = (watch, Scorer, (settings, plan, key))
    if settings.stages == "actors":
        dataset = _two_stages(todo, worker, actors)
    else:
        bounds = watch.for_ray(len(todo))
        dataset = on_actors(todo, Watched, worker, actors=actors, settings=bounds, gpu=settings.use_gpu)
    yield from watched_ledger(dataset, "score", watch)


def _two_stages(todo: list[PlannedUnit], worker: tuple[UnitWatch, type[Scorer], Any], actors: int) -> Any:
    """Tasks that prepare units, and model actors behind them: with less than half a CPU left, no task would start."""
    watch, _, (settings, plan, key) = worker
    bounds = watch.for_ray(len(todo))
    preparer = UnitPreparer(plan.inputs, key, settings.decode, watch)
    prepared = unit_dataset(todo, preparer, name="prepare", settings=bounds, num_cpus=HALF)
    return prepared.map_batches(
        Watched,
        fn_constructor_args=worker,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=max(1, min(actors, len(todo)))),
        num_gpus=1 if settings.use_gpu else 0,
        num_cpus=HALF,
        max_restarts=bounds.max_retries,
        max_task_retries=bounds.max_retries,
    )
