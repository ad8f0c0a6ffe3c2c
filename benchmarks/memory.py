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
        looks: at each look the driver, the largest worker and the largest decoding process.
    """

    driver: float = 0.0
    workers: dict[int, float] = field(default_factory=dict)
    decoders: dict[int, float] = field(default_factory=dict)
    looks: list[tuple[float, float, float]] = field(default_factory=list)

    def look(self, process: psutil.Process) -> None:
        """Take note of now."""
        now: dict[str, list[float]] = {"workers": [0.0], "decoders": [0.0]}
        self.driver = max(self.driver, own := _private(process))
        for child in process.children(recursive=True):
            try:
                command = " ".join(child.cmdline())
                kind = "workers" if "MapWorker" in command else "decoders" if "decoding" in command else None
                if kind:
                    now[kind].append(held := _private(child))
                    seen: dict[int, float] = getattr(self, kind)
                    seen[child.pid] = max(seen.get(child.pid, 0.0), held)
            except psutil.Error:
                continue
        self.looks.append((own, max(now["workers"]), max(now["decoders"])))

    def by_quarter(self) -> dict[str, list[int]]:
        """The peaks of driver, worker and decoding process in each quarter of the time that workers lived."""
        alive = [look for look in self.looks if look[1]]
        quarters = [alive[len(alive) * n // 4 : len(alive) * (n + 1) // 4] for n in range(4)]
        return {
            name: [round(max((look[place] for look in quarter), default=0.0)) for quarter in quarters]
            for place, name in enumerate(("driver", "worker", "decoder"))
        }


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
