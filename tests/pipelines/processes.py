"""Commands as processes that a test may kill, and the processes of Ray below them (Linux)."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.processes import below

RAY = """
import pathlib, sys, time, ray
for _ in range(20):  # Ray gives its own daemons 30 s, and a busy machine may need more
    try:
        sizes = {"num_cpus": 2, "object_store_memory": 400 * 2**20}
        ray.init(address="local", include_dashboard=False, _temp_dir=sys.argv[1], **sizes)
        break
    except Exception:
        ray.shutdown()
pathlib.Path(sys.argv[1], "address").write_text(ray.get_runtime_context().gcs_address)
time.sleep(10**6)
"""


class Driver:
    """`with Driver(*flags) as driver:` runs a command; the end takes every process of its Ray with it."""

    def __init__(
        self, *flags: str, command: list[str] | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "medray.cli", *flags],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.seen: dict[int, str] = {}

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        self.below()
        end([self.process.pid, *self.seen])
        self.process.wait(10)
        if self.process.stderr:
            self.process.stderr.close()

    def below(self) -> dict[int, str]:
        """Command lines of the living processes below the driver, by process id."""
        living = {pid: title(pid) for pid in below(self.process.pid)}
        self.seen |= living
        return living

    def wait_until(self, holds: Callable[[], bool], timeout_s: float = 420) -> None:
        """Poll while the driver runs; the processes below it are noted."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            if self.process.poll() is not None:
                raise AssertionError(f"ended too early with {self.process.returncode}: {self.errors()}")
            if time.monotonic() > deadline:
                raise AssertionError("nothing happened")
            time.sleep(0.01)
        self.below()

    def kill(self) -> None:
        """SIGKILL to the driver alone."""
        self.process.kill()
        assert self.process.wait(10) == -signal.SIGKILL

    def errors(self) -> str:
        """What it said on stderr; only once it has ended."""
        return self.process.stderr.read() if self.process.stderr else ""


@contextmanager
def ray_apart(environment: dict[str, str]) -> Iterator[str]:
    """A Ray of two CPUs in a process of its own with this environment; its address, for RAY_ADDRESS of commands."""
    folder = Path(tempfile.mkdtemp(prefix="mr-"))  # a short path: the sockets of Ray have long names
    try:
        with Driver(command=[sys.executable, "-c", RAY, str(folder)], environment=environment) as driver:
            driver.wait_until(lambda: bool((folder / "address").exists() and (folder / "address").read_text()))
            yield (folder / "address").read_text()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def title(pid: int) -> str:
    """Command line of a process, empty where it is gone (or waits for its parent)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""


def gone(pids: set[int], within_s: float) -> bool:
    """Whether all of these end by themselves."""
    deadline = time.monotonic() + within_s
    while any(title(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def end(pids: list[int]) -> None:
    """SIGKILL to what is left of processes that a test has started."""
    for pid in pids:
        if title(pid):
            os.kill(pid, signal.SIGKILL)
