"""Units to rows of predictions: warm model actors, which write a part file a unit, and tasks that prepare for them."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import ray.data
import torch

from medray import storage, tables
from medray.image_settings import DecodeSettings
from medray.pipelines.cluster import cpus, gpus
from medray.pipelines.setups import record_setup
from medray.pipelines.units import PlannedUnit, WithoutText, ledger_of, ledger_row, on_actors, unit_dataset, unit_of
from medray.pipelines.warmth import with_loads
from medray.samples.inputs import ModelInput, prepare_inputs
from medray.samples.isolated import start_decoding_process
from medray.scoring.plan import ScoringPlan
from medray.scoring.wanted import wanted_samples
from medray.scoring.warm import WarmModels
from medray.settings import ScoreSettings

HALF = 0.5  # the share of a CPU that a read task asks for, and a model actor: with less left, neither ever starts
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
        device = "cuda" if settings.use_gpu else "cpu"
        self.models = WarmModels(plan, settings, device)
        record_setup(settings, device)

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
            inputs = [pa.ipc.open_stream(block[name][0].as_buffer()).read_all() for name in prepared]
        else:
            inputs = prepare_inputs(rows, self.key, self.plan.inputs, self.settings.decode)
        return [wanted_samples(samples, rows) for samples in inputs]


def run_units(
    todo: list[PlannedUnit], settings: ScoreSettings, plan: ScoringPlan, key: bytes
) -> Iterator[dict[str, Any]]:
    """Score units; their ledger rows as they finish."""
    arguments = (settings, plan, key)
    actors = settings.actors or (gpus() if settings.use_gpu else cpus())
    if settings.stages == "actors":
        dataset = _two_stages(todo, arguments, actors)
    else:
        dataset = on_actors(todo, Scorer, arguments, actors=actors, settings=settings.ray, gpu=settings.use_gpu)
    yield from ledger_of(dataset, "score")


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
