"""What the processes of a job take while it runs: private memory by kind, and how many there were (Linux)."""

import os
import threading
import time
from pathlib import Path

KINDS = {
    "decoder": "medray.samples.decoding_process",
    "second_decoder": "medray.pixels.second_decoder",
    "worker": "ray::",
}
PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / 2**20


class ProcessWatch(threading.Thread):
    """`with ProcessWatch() as watch:` looks at this process and all below it, a few times a second.

    Attributes:
        samples: (seconds since the start, kind, private MiB of the largest process of that kind).
        pids: process ids seen, by kind.
    """

    def __init__(self, every_s: float = 0.5) -> None:
        super().__init__(daemon=True)
        self.every_s, self.started, self.done = every_s, time.monotonic(), threading.Event()
        self.samples: list[tuple[float, str, float]] = []
        self.pids: dict[str, set[int]] = {}

    def __enter__(self) -> "ProcessWatch":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()

    def run(self) -> None:
        """Look until the block ends."""
        while not self.done.wait(self.every_s):
            self._look()

    def _look(self) -> None:
        largest = {"driver": _private_mib(os.getpid())}
        for pid in below(os.getpid()):
            kind = _kind(pid)
            if kind:
                self.pids.setdefault(kind, set()).add(pid)
                largest[kind] = max(largest.get(kind, 0.0), _private_mib(pid))
        now = time.monotonic() - self.started
        self.samples += [(now, kind, mib) for kind, mib in largest.items()]

    def peaks(self) -> dict[str, dict[str, int]]:
        """Largest private memory of one process in MiB by kind, in the first and in the second half of the time."""
        if not self.samples:
            return {}
        half = self.samples[-1][0] / 2
        found: dict[str, dict[str, int]] = {}
        for at, kind, mib in self.samples:
            name = "first_half" if at < half else "second_half"
            halves = found.setdefault(kind, {"first_half": 0, "second_half": 0})
            halves[name] = max(halves[name], round(mib))
        return found


def below(pid: int) -> list[int]:
    """Every process that descends from this one."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended meanwhile
    found = [pid]
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found[1:]


def _kind(pid: int) -> str | None:
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    return next((kind for kind, part in KINDS.items() if part in title), None)


def _private_mib(pid: int) -> float:
    """Resident memory that is not shared with others: the object store is."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0.0
    return (int(pages[1]) - int(pages[2])) * PAGE_MIB
