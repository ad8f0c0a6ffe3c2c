"""Units through Ray Data: a plan on storage, one read task a unit, ledger rows back."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ContextDecorator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import ray
from ray.data import Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask
from ray.exceptions import RayError

from medray import storage, tables
from medray.errors import MedrayError, place_of
from medray.samples.clock import running, stage
from medray.samples.units import Unit
from medray.schema import LEDGER
from medray.settings import RaySettings

PLAN = "_plan"
UNIT_IDS = "units"  # what the schema of a plan file calls the ids of its units
HALF = 0.5  # the share of a CPU that an actor asks for: where a node is lost, its actors find room on the others
QUEUED = 4  # blocks that wait at an actor: Ray Data's loop looks for finished tasks every 0.1 s, and none stands idle
UNITS_AN_ACTOR = 2  # starting an actor takes several seconds of a CPU: as long as two units
BLOCKS_AN_ACTOR = 64  # a block is 44 kB and 3 ms of the driver; with more units than that, a block names several
UNITS_PER_FILE = 256
OUR_ERROR = re.compile(r"^medray\.errors\.\w+: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class PlannedUnit:
    """Where the rows of a unit lie: a row group of a plan file."""

    unit_id: str
    uri: str
    row_group: int
    objects: int

    def rows(self) -> pa.Table:
        """The unit's rows, with the columns that the planner gave them."""
        with stage("read"):
            return tables.row_group(self.uri, self.row_group)


def write_plan(out: str, units: Iterable[Unit]) -> list[PlannedUnit]:
    """Cut once and keep it: another run of the job works on the same units, also on another machine."""
    planned: list[PlannedUnit] = []
    held: list[Unit] = []
    for unit in units:
        held.append(unit)
        if len(held) == UNITS_PER_FILE:
            planned, held = planned + write_plan_file(out, len(planned) // UNITS_PER_FILE, held), []
    planned += write_plan_file(out, len(planned) // UNITS_PER_FILE, held) if held else []
    storage.write_json(storage.join(out, PLAN, "plan.json"), [list(vars(unit).values()) for unit in planned])
    return planned


def write_plan_file(out: str, number: int, units: list[Unit]) -> list[PlannedUnit]:
    """Write at least one unit as a file of the plan, a row group each."""
    uri = plan_uri(out, number)
    schema = units[0].rows.schema.with_metadata({UNIT_IDS: json.dumps([unit.unit_id for unit in units])})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for unit in units:
            rows = unit.rows.combine_chunks().replace_schema_metadata(schema.metadata)
            writer.write_table(rows, row_group_size=max(1, rows.num_rows))
    storage.write_bytes(uri, sink.getvalue())
    return [PlannedUnit(unit.unit_id, uri, group, unit.rows.num_rows) for group, unit in enumerate(units)]


def plan_uri(out: str, number: int) -> str:
    """Where a file of the plan lies: the same cut writes the same object."""
    return storage.join(out, PLAN, f"plan-{number:05d}.parquet")


def read_plan_file(out: str, number: int) -> list[PlannedUnit]:
    """The units of a file of the plan, from its footer."""
    uri = plan_uri(out, number)
    with tables.opened(uri) as file:
        ids: list[str] = json.loads(file.schema_arrow.metadata[UNIT_IDS.encode()])
        groups = [file.metadata.row_group(group).num_rows for group in range(len(ids))]
    return [PlannedUnit(name, uri, group, groups[group]) for group, name in enumerate(ids)]


def planned_units(out: str, cut: Callable[[], Iterable[Unit]]) -> list[PlannedUnit]:
    """The plan of an earlier run of this job, else a new one."""
    plan = storage.join(out, PLAN, "plan.json")
    if storage.exists(plan):
        return [PlannedUnit(*row) for row in storage.read_json(plan)]
    return write_plan(out, cut())


class UnitSource(Datasource):
    """One read task, one block a unit. Source: reference on Ray Data's custom datasources, `Datasource`."""

    def __init__(self, units: list[Any], read: Callable[[Any], pa.Table], name: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.units, self.read, self.name = units, read, name

    def get_name(self) -> str:
        """Name of the stage in Ray's plan and errors."""
        return self.name

    def estimate_inmemory_data_size(self) -> int | None:
        """Unknown: units are bounded when they are cut."""
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """A task a unit, whatever the parallelism asked for."""
        metadata = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(_Reading(self.read, unit), metadata) for unit in self.units]


class WithoutText(ContextDecorator):
    """Around work in a worker: Ray logs the text of errors, and one that nobody foresaw may quote a header or a path.

    Such an error becomes a MedrayError that names its type and place.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, MedrayError):
            raise MedrayError(f"A defect of medray: {place_of(error)}.", "Finished units are kept.") from None


@dataclass(frozen=True)
class _Reading:
    read: Callable[[Any], pa.Table]
    unit: Any

    def __call__(self) -> Iterator[pa.Table]:
        with WithoutText():
            table = self.read(self.unit)
        yield table


def unit_dataset(
    units: list[Any],
    read: Callable[[Any], pa.Table],
    *,
    name: str,
    settings: RaySettings,
    num_cpus: float = 1.0,
) -> Any:
    """A dataset with one block a unit; a task whose worker dies starts again a bounded number of times.

    Args:
        units: what `read` takes, one a task.
        read: a unit to a block.
        name: of the stage, in errors.
        settings: retries and the time without progress after which the stage ends.
        num_cpus: share of a CPU that a task asks for: what the actors behind it leave must hold at least one.
    """
    context = ray.data.DataContext.get_current()
    context.execution_no_progress_timeout_s = settings.no_progress_s
    return ray.data.read_datasource(
        UnitSource(units, read, name),
        override_num_blocks=len(units),
        num_cpus=num_cpus,
        ray_remote_args={"max_retries": settings.max_retries},
    )


def on_actors(
    units: list[PlannedUnit],
    worker: Callable[..., Any],
    arguments: tuple[Any, ...],
    *,
    actors: int,
    settings: RaySettings,
    gpu: bool = False,
) -> Any:
    """A dataset of what warm actors answer to units; an actor that dies starts again a bounded number of times.

    Args:
        units: passed to the actors as rows that say where each lies (`unit_of`), never as pixels.
        worker: a class; an instance is called with a table of one row and answers with a table.
        arguments: of its constructor.
        actors: as many, or fewer where each would have less than UNITS_AN_ACTOR units.
        settings: retries and the time without progress after which the stage ends.
        gpu: each actor takes a GPU.
    """
    ray.data.DataContext.get_current().execution_no_progress_timeout_s = settings.no_progress_s
    actors = max(1, min(actors, len(units) // UNITS_AN_ACTOR))
    return ray.data.from_arrow(_blocks(units, actors)).map_batches(
        worker,
        fn_constructor_args=arguments,
        batch_size=1,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=QUEUED),
        num_cpus=HALF,
        num_gpus=1 if gpu else 0,
        max_restarts=settings.max_retries,
        max_task_retries=settings.max_retries,
    )


def _blocks(units: list[PlannedUnit], actors: int) -> list[pa.Table]:
    size = -(-len(units) // (actors * BLOCKS_AN_ACTOR))
    return [pa.Table.from_pylist([vars(unit) for unit in units[i : i + size]]) for i in range(0, len(units), size)]


def unit_of(block: pa.Table) -> PlannedUnit:
    """The unit that a block of one row names."""
    (row,) = block.select([item.name for item in fields(PlannedUnit)]).to_pylist()
    return PlannedUnit(**row)


def ledger_of(dataset: Any, stage: str) -> Iterator[dict[str, Any]]:
    """Run a dataset of ledger rows; they come as units finish.

    Raises:
        MedrayError: a worker died again and again, or a stage made no progress. The finished units stay.
    """
    try:
        for batch in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            yield from batch.to_pylist()
    except (RayError, TimeoutError) as error:
        raise stage_error(error, stage) from None


def stage_error(error: BaseException, stage: str) -> MedrayError:
    """What ended a stage, in one line: our own error from a worker as it is, anything else by its type."""
    cause: BaseException | None = error
    while cause is not None:
        inner = getattr(cause, "cause", None) or cause.__cause__
        if isinstance(inner, MedrayError) and type(inner).__module__ == MedrayError.__module__:
            return type(inner)(*inner.__reduce__()[1])
        cause = inner if isinstance(inner, BaseException) else None
    if said := OUR_ERROR.findall(str(error)):  # Ray hands on an actor's error as text only
        return MedrayError(said[-1])
    name = type(getattr(error, "cause", None) or error.__cause__ or error).__name__
    return MedrayError(
        f"The stage {stage!r} ended with {name}.",
        "Finished units are kept: run the same command again. If it stops at the same place, --debug keeps Ray's log.",
    )


def ledger_row(unit_id: str, rows: pa.Table) -> pa.Table:
    """The row of `schema.LEDGER` of a unit whose clock runs (`unit_clock`), and whose part file holds these rows."""
    status, taken = Counter(rows["status"].to_pylist()), running().taken()
    reasons = Counter(rows["reason"].filter(pc.equal(rows["status"], "failed")).to_pylist())
    row = {
        "unit_id": unit_id,
        "rows": rows.num_rows,
        **{name: status[name] for name in ("ok", "skipped", "failed")},
        "reasons": list(reasons.items()),
        "seconds": taken.busy_seconds(),
        "stage_seconds": taken.seconds,
        "bytes": taken.bytes_read,
        "died": 0,
    }
    return pa.Table.from_pylist([row], schema=LEDGER)
