"""Private memory of a process and of those below it, watched from outside."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil

EVERY_S = 0.5
MIB = 2**20


@dataclass
class Peaks:
    """The largest private memory seen, in MiB.

    Attributes:
        driver: of the process itself.
        workers: of each of Ray's workers that ran our code, by process id.
        decoders: of each decoding process.
    """

    driver: float = 0.0
    workers: dict[int, float] = field(default_factory=dict)
    decoders: dict[int, float] = field(default_factory=dict)

    def look(self, process: psutil.Process) -> None:
        """Take note of now."""
        self.driver = max(self.driver, _private(process))
        for child in process.children(recursive=True):
            try:
                command = " ".join(child.cmdline())
                seen = self.workers if "MapWorker" in command else self.decoders if "decoding" in command else None
                if seen is not None:
                    seen[child.pid] = max(seen.get(child.pid, 0.0), _private(child))
            except psutil.Error:
                continue


def _private(process: psutil.Process) -> float:
    found = process.memory_info()
    return float(found.rss - found.shared) / MIB


@contextmanager
def watching(pid: int) -> Iterator[Peaks]:
    """Look at a process twice a second for the block."""
    peaks, ends, process = Peaks(), threading.Event(), psutil.Process(pid)

    def look() -> None:
        while not ends.wait(EVERY_S):
            try:
                peaks.look(process)
            except psutil.Error:
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peaks
    finally:
        ends.set()
        thread.join()
