"""Units under watch: how often each has ended its worker, and a heartbeat at every stage that it reaches.

A record a unit under way lies in Ray's own table of keys, on the head node, and so outlives the worker. An alarm in the
worker ends it where a unit stands still: of the same make as a decoder's, it needs no thread and no lock of Python's.
"""

import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pyarrow as pa
import ray
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

from medray import stages
from medray.errors import MedrayError
from medray.pipelines.units import QUEUED, unit_of
from medray.settings import RaySettings

NAMESPACE = "medray"
PATIENCE = 3  # times `stalled_s` without a heartbeat that a worker lives
BEAT_S = 1.0  # between two heartbeats within a stage; a new stage is told at once (0.3 ms)


@dataclass(frozen=True)
class UnitWatch:
    """The watch over the units of one stage; it travels to the workers.

    Attributes:
        ray: retries and seconds.
        frame_seconds: that a frame may take to be decoded, without a heartbeat.
        run: of the records.
    """

    ray: RaySettings
    frame_seconds: float = 0.0
    run: str = field(default_factory=lambda: secrets.token_hex(4))

    @contextmanager
    def over(self, unit_id: str, role: str = "unit") -> Iterator[int]:
        """Watch over a unit as long as the block runs; gives how often it has ended its worker before.

        Raises:
            MedrayError: it goes on to end its worker although its samples are taken apart.
        """
        key = f"{self.run}/{role}/{unit_id}"
        earlier = _internal_kv_get(key, namespace=NAMESPACE)
        died = int(json.loads(earlier)["tries"]) if earlier else 0
        if died > 2 * self.ray.max_retries:
            raise MedrayError(f"Unit {unit_id} has ended its worker {died} times.", "Finished units are kept.")
        beat = _Heartbeat(key, died + 1, PATIENCE * max(self.ray.stalled_s, self.frame_seconds))
        stages.watchers.append(beat)
        try:
            stages.reach("read", unit_id)
            yield died
        finally:
            stages.watchers.remove(beat)
            beat.end()

    def for_ray(self, units: int) -> RaySettings:
        """Settings for Ray: the watch counts deaths and stands still itself; Ray's bounds lie far beyond."""
        return replace(self.ray, max_retries=2 * self.ray.max_retries * (units + QUEUED), no_progress_s=-1)

    def records(self) -> dict[str, dict[str, Any]]:
        """What is known of the units under way, by `role/unit`."""
        found = {}
        for name in _internal_kv_list(f"{self.run}/", namespace=NAMESPACE):
            record = _internal_kv_get(name, namespace=NAMESPACE)
            if record:
                found[name.decode().partition("/")[2]] = json.loads(record)
        return found

    def forget(self) -> None:
        """Drop the records."""
        _internal_kv_del(f"{self.run}/", del_by_prefix=True, namespace=NAMESPACE)


class Tries(NamedTuple):
    """Earlier tries at a unit in this run.

    Attributes:
        died: that ended their worker.
        maybe_finished: the unit's part files may be whole already: a worker was ended behind its last PUT, or
            before Ray had word that it was done with the unit.
    """

    died: int = 0
    maybe_finished: bool = False


FIRST = Tries()


def is_taken_apart(died: int, settings: RaySettings) -> bool:
    """Whether a unit that has ended its worker so often is taken apart."""
    return 0 < settings.max_retries <= died


class _Heartbeat:
    """Writes the stage of a unit to its record, and puts off the alarm."""

    def __init__(self, key: str, tries: int, patience_s: float) -> None:
        self.key, self.patience_s = key, patience_s
        self.stage, self.told, self.beats = "", 0.0, 0
        context = ray.get_runtime_context()
        worker = context.get_actor_id() or context.get_worker_id()
        self.record = {"tries": tries, "worker": worker, "pid": os.getpid()}

    def __call__(self, stage: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, self.patience_s)
        now = time.monotonic()
        if stage != self.stage or now - self.told > BEAT_S:
            self.stage, self.told, self.beats = stage, now, self.beats + 1
            record = self.record | {"stage": stage, "beats": self.beats}
            _internal_kv_put(self.key, json.dumps(record), overwrite=True, namespace=NAMESPACE)

    def end(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _internal_kv_del(self.key, namespace=NAMESPACE)


class Watched:
    """A warm actor under watch: the worker within is called with a block and the earlier `Tries` at its unit."""

    def __init__(self, watch: UnitWatch, worker: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.watch, self.worker = watch, worker(*arguments)
        self.restarted = bool(ray.get_runtime_context().was_current_actor_reconstructed)

    def __call__(self, block: pa.Table) -> pa.Table:
        """The worker's ledger row, with `died`: here, and in what the block says of the process that prepared it."""
        earlier = block["died"][0].as_py() if "died" in block.column_names else 0
        with self.watch.over(unit_of(block).unit_id) as died:
            row: pa.Table = self.worker(block, Tries(died, maybe_finished=died > 0 or self.restarted))
        return row.set_column(row.column_names.index("died"), "died", pa.array([earlier + died], pa.int64()))
