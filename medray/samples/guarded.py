"""A function of samples in a process that may die or stall, and the one sample that makes it so.

The process is a Python of its own, never a fork: torch's threads do not outlive one. It loads the function once, and an
alarm in it ends a call that takes too long.
"""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np
import pyarrow as pa

from medray import stages
from medray.errors import MedrayError, Reason
from medray.pixels.second_decoder import own_environment
from medray.samples.frame_sets import COUNTS, KEYED_BY
from medray.samples.tables import from_ipc, to_ipc

ROWWISE = ("sample_id", "row", "frame", "flags", KEYED_BY, *COUNTS)  # what is still known of a sample given up
DETAIL = "the process that worked on it was ended by it"
TRIES = 2  # of a sample: whatever else ends processes may hit an innocent one
DEATHS = 3  # of the process while it loads, before the unit fails

OfSamples = Callable[[pa.Table], pa.Table]
"""Samples to rows, one each, in order; a sample that is not ok has a row too, and is not looked into."""


@dataclass
class Guarded:
    """A function in a process of its own, which starts with the first call and again after each death.

    Attributes:
        load: gives the function, in the process; it must be picklable.
        seconds: that one call may take.
    """

    load: Callable[[], OfSamples]
    seconds: float
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)
    _connection: Connection | None = field(default=None, init=False)

    def __call__(self, samples: pa.Table) -> pa.Table | Reason:
        """The function's answer, or of what the process died.

        Raises:
            MedrayError: what the function raised, or the process cannot live.
        """
        if not self._connection:
            self._start(given_up(samples.slice(0, 1), Reason.WORKER_KILLED))
        try:
            return self._answer(samples, self.seconds)
        except (OSError, EOFError):
            return Reason.WORKER_STALLED if self.end() == -signal.SIGALRM else Reason.WORKER_KILLED

    def _answer(self, samples: pa.Table, seconds: float) -> pa.Table:
        assert self._connection
        self._connection.send((seconds, to_ipc(samples)))
        answer = self._connection.recv()
        if isinstance(answer, MedrayError):
            raise answer
        return from_ipc(answer)

    def _start(self, harmless: pa.Table) -> None:
        """Start a process and let it answer once: what is loaded at first use is not the first batch's time."""
        for _ in range(DEATHS):
            ours, theirs = socket.socketpair()
            command = [sys.executable, "-m", "medray.samples.guarded_process", str(theirs.fileno())]
            quiet, descriptor = subprocess.DEVNULL, theirs.fileno()
            with theirs:
                self._process = subprocess.Popen(
                    command, pass_fds=[descriptor], stdout=quiet, stderr=quiet, env=own_environment()
                )
            self._connection = Connection(ours.detach())
            try:
                self._connection.send(self.load)
                self._answer(harmless, 0.0)
                return
            except (OSError, EOFError):
                self.end()
        raise MedrayError(f"The scoring process ended {DEATHS} times while it was loading.", "Is memory short?")

    def end(self) -> int:
        """End the process; its return code."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection:
            connection.close()
        if not process:
            return 0
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5.0)  # it is dying, of a reason worth knowing, or sees that the connection is gone
        process.kill()
        return process.wait()


def apart(samples: pa.Table, load: Callable[[], OfSamples], batch_size: int, seconds: float) -> pa.Table:
    """What a function answers to samples, where a sample that ends or stalls its process becomes a failed one.

    Batches that do no harm are those of an undisturbed run. In one that does, samples are taken one by one; then the
    batch is taken again with a neighbour in the place of the guilty, so that every other answer is that of the batch.

    Args:
        samples: of a unit.
        load: gives the function, in a process of its own; it must be picklable.
        batch_size: samples that the function takes at once.
        seconds: that a batch or sample may take.
    """
    guarded = Guarded(load, seconds)
    try:
        parts = [_rows_of(part, guarded) for part in _batches(samples, batch_size)]
    finally:
        guarded.end()
    return pa.concat_tables(parts)


def _batches(samples: pa.Table, batch_size: int) -> list[pa.Table]:
    """Slices with as many samples that are ok as a batch has."""
    ok = np.cumsum([status == "ok" for status in samples["status"].to_pylist()])
    cuts = [0, *(int(k) for k in np.searchsorted(ok, np.arange(batch_size, ok[-1] if len(ok) else 0, batch_size)) + 1)]
    return [samples.slice(a, b - a) for a, b in zip(cuts, [*cuts[1:], samples.num_rows], strict=True)]


def _rows_of(part: pa.Table, guarded: Guarded) -> pa.Table:
    stages.reach("apart")
    answer = guarded(part)
    if isinstance(answer, pa.Table):
        return answer
    found = [_row_of(part.slice(k, 1), guarded) for k in range(part.num_rows)]
    guilty = {k for k, (_, reason) in enumerate(found) if reason}
    good = [k for k, status in enumerate(part["status"].to_pylist()) if status == "ok" and k not in guilty]
    rows = pa.concat_tables([row for row, _ in found])
    if not good:
        return rows
    again = guarded(part.take([good[0] if k in guilty else k for k in range(part.num_rows)]))
    if not isinstance(again, pa.Table):
        return rows
    chosen = [k + part.num_rows * (k not in guilty) for k in range(part.num_rows)]
    return pa.concat_tables([rows, again]).take(chosen)


def _row_of(sample: pa.Table, guarded: Guarded) -> tuple[pa.Table, Reason | None]:
    """The answer to one sample; where it was guilty, as a failed one, with the reason."""
    for _ in range(TRIES):
        stages.reach("apart")
        answer = guarded(sample)
        if isinstance(answer, pa.Table):
            return answer, None
    failed = guarded(given_up(sample, answer))
    if isinstance(failed, Reason):
        raise MedrayError("The scoring process ends although no sample is given to it.", "Is memory short?")
    return failed, answer


def given_up(samples: pa.Table, reason: Reason) -> pa.Table:
    """The same samples as failed ones, without anything that a model could read."""
    known = {"status": "failed", "reason": reason.value, "detail": DETAIL}
    columns = []
    for schema_field in samples.schema:
        values = pa.array([known.get(schema_field.name)] * samples.num_rows, schema_field.type)
        columns.append(samples[schema_field.name] if schema_field.name in ROWWISE else values)
    return pa.table(columns, schema=samples.schema)
