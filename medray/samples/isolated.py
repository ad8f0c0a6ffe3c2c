"""Units decoded in a process that may die: a frame that kills, stalls or swells its decoder costs one row.

The process reads, decodes and prepares, for several recipes at once where several models look at the same archive; the
images come back in shared memory: a healthy frame pays for no copy. When
the process dies, the frame that was under way is the guilty one, and another process goes on behind it.
"""

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import pyarrow as pa

from medray import stages
from medray.errors import MedrayError, Reason
from medray.image_settings import DecodeSettings
from medray.pixels.second_decoder import own_environment
from medray.samples.clock import running, stage
from medray.samples.frame_sets import SAMPLE_KEY, as_samples
from medray.samples.request import PAGE, UNDER_WAY, Place, Request
from medray.samples.shared_memory import SharedMemory, take_memory
from medray.samples.tables import InputKind, sample_table, to_graphs
from medray.settings import Recipe

DEFAULT = DecodeSettings()
LOOK_S = 1.0  # how often an answer that does not come is looked after
STRAY_DEATHS = 3  # of the process between frames, before the unit fails
REASONS = {-signal.SIGALRM: Reason.DECODER_TIMEOUT, -signal.SIGKILL: Reason.DECODER_OUT_OF_MEMORY}


def prepare_unit(
    rows: pa.Table, key: bytes, recipe: Recipe, kind: InputKind, *, decode: DecodeSettings = DEFAULT, classes: int = 0
) -> pa.Table:
    """Read, decode and prepare every frame of a unit's objects.

    Args:
        rows: rows of the index; where they name masks (`samples.masks.row_masks`), these are prepared too.
        key: unseals the objects' names.
        recipe: stored values to model input.
        kind: `image`, `graph` for the image's region graph, or `regions` for both.
        decode: what one frame may take, and how it is checked.
        classes: of the masks.

    Returns:
        One row a sample: `SAMPLE`, with the columns of `to_graphs` for the other kinds. A frame that cannot be used has
        a row with status `failed`, a reason and empty lists.
    """
    samples = isolated_images_of(rows, key, recipe, decode)
    return samples if kind == "image" else to_graphs(samples, recipe, kind, classes)


def isolated_images_of(rows: pa.Table, key: bytes, recipe: Recipe, decode: DecodeSettings = DEFAULT) -> pa.Table:
    """The prepared images of a unit, one row a frame, decoded in this process's decoding process.

    Raises:
        MedrayError: what reading raised there, or the process cannot live.
    """
    return isolated_images(rows, key, [recipe], decode)[0]


def isolated_images(
    rows: pa.Table, key: bytes, recipes: Sequence[Recipe], decode: DecodeSettings = DEFAULT
) -> list[pa.Table]:
    """The prepared images of a unit for each of several recipes; every object is read, every frame decoded once.

    The tables have the same samples in the same order. Where the rows name samples of several frames (SAMPLE_KEY), each
    is one row (`as_samples`). A frame that ends its decoding process fails in all of them, and what decoding may take
    (`decode`) it may take for all recipes together.

    Raises:
        MedrayError: as `isolated_images_of`.
    """
    with _lock:
        unit = _Unit(rows, key, tuple(recipes), decode)
        try:
            with stage("decode"):
                unit.decode_all()
        except BaseException:
            end_decoding_process()  # it may still write to the memories
            for memory in unit.memories:
                memory.give_back()
            raise
        frames = [unit.table(number) for number in range(len(unit.recipes))]
        return [as_samples(each, rows) for each in frames] if SAMPLE_KEY in rows.column_names else frames


@dataclass
class _Process:
    """The decoding process, and the socket to it."""

    popen: "subprocess.Popen[bytes]"
    socket: socket.socket
    connection: Connection

    def end(self) -> int:
        """Make sure that it has ended; its return code."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(timeout=1.0)  # it closed its socket: it is dying, of a reason worth knowing
        self.popen.kill()
        self.connection.close()
        self.socket.close()
        return self.popen.wait()


_processes: dict[int, _Process] = {}
"""The decoding process of each process, by its id: a forked process must not talk to its parent's."""

_lock = threading.Lock()


def start_decoding_process() -> None:
    """Start this process's decoding process, which takes a second or two to load; an actor has other things to load."""
    with _lock:
        _running()


def _running() -> _Process:
    process = _processes.get(os.getpid())
    if process is None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "medray.samples.decoding_process", str(theirs.fileno())]
        quiet = subprocess.DEVNULL  # codecs print what they please
        with theirs:
            popen = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdout=quiet, stderr=quiet, env=own_environment()
            )
        process = _processes[os.getpid()] = _Process(popen, ours, Connection(os.dup(ours.fileno())))
    return process


@atexit.register
def end_decoding_process() -> None:
    """End this process's decoding process, if it has one; the next unit starts another."""
    process = _processes.pop(os.getpid(), None)
    if process is not None:
        process.popen.kill()
        process.end()


@dataclass
class _Unit:
    """A unit on its way through one decoding process, or several."""

    rows: pa.Table
    key: bytes = field(repr=False)
    recipes: tuple[Recipe, ...]
    decode: DecodeSettings
    frames: list[list[dict[str, Any]]] = field(default_factory=list)  # of each frame a sample a recipe
    guilty: dict[Place, Reason] = field(default_factory=dict)
    memories: list[SharedMemory] = field(init=False)

    def __post_init__(self) -> None:
        self.memories = [take_memory() for _ in self.recipes]

    def decode_all(self) -> None:
        strays = 0
        while (code := self._attempt()) is not None:
            place = self._under_way()
            strays += place is None
            if strays > STRAY_DEATHS:
                raise MedrayError(f"The decoding process ended {strays} times between frames.", "Is memory short?")
            if place is not None:
                self.guilty[place] = REASONS.get(code, Reason.DECODER_CRASHED)

    def table(self, number: int) -> pa.Table:
        samples = [frame[number] for frame in self.frames]
        images = _images(samples, self.memories[number])
        return sample_table(samples, images, with_masks="mask" in self.rows.column_names)

    def _attempt(self) -> int | None:
        """Go on where the last process got to; None, or the return code of the process that died."""
        process = _running()
        os.pwrite(self.memories[0].descriptor, UNDER_WAY.pack(False, 0, 0), 0)
        request = Request(self.rows, self.key, self.recipes, self.decode, self._next(), self.guilty, self._floats())
        try:
            process.connection.send(request)
            socket.send_fds(process.socket, [b"m"], [memory.descriptor for memory in self.memories])
            while (answer := self._received(process)) is not None:
                if isinstance(answer, MedrayError):
                    raise answer
                self.frames += answer.frames
                running().lend("read", answer.taken.seconds["read"])
                running().bytes_read += answer.taken.bytes_read
        except (OSError, EOFError):
            del _processes[os.getpid()]
            return process.end()
        return None

    def _received(self, process: _Process) -> Any:
        """The next answer; meanwhile each frame that begins is a sign of life, and so is each answer."""
        last = None
        while not process.connection.poll(LOOK_S):
            if (place := self._under_way()) != last:
                last = place
                stages.reach("decode" if place else "read")
        stages.reach("decode")
        return process.connection.recv()

    def _next(self) -> Place:
        """The place behind the last frame that arrived."""
        if not self.frames:
            return 0, -1
        last = self.frames[-1][0]
        return (last["row"] + 1, -1) if last["frame"] is None else (last["row"], last["frame"] + 1)

    def _floats(self) -> list[int]:
        return [sum(frame[number]["floats"] for frame in self.frames) for number in range(len(self.recipes))]

    def _under_way(self) -> Place | None:
        is_one, row, frame = UNDER_WAY.unpack(os.pread(self.memories[0].descriptor, UNDER_WAY.size, 0))
        return (row, frame) if is_one else None


def _images(samples: list[dict[str, Any]], memory: SharedMemory) -> pa.LargeListArray:
    """The images as one list column that lies in the shared memory."""
    ends = np.cumsum([sample["floats"] for sample in samples], dtype=np.int64)
    count = int(ends[-1]) if len(ends) else 0
    offsets = np.concatenate([np.zeros(1, np.int64), ends])
    return pa.LargeListArray.from_arrays(offsets, memory.floats(PAGE, count))
