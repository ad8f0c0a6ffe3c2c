"""The driver's eye on units under watch: names the one that stands still, and ends a job in which none gets on."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

from ray.exceptions import RayError

from medray.errors import MedrayError
from medray.pipelines.progress import say
from medray.pipelines.units import ledger_of
from medray.pipelines.watch import UnitWatch

LOOK_S = 5.0
INTERRUPTION = signal.SIGUSR2  # SIGINT is ignored where a shell runs a job in the background
State = tuple[str, str, int, str, int]
"""Worker, role/unit, tries, stage and number of a heartbeat."""
CURE = "Finished units are kept: run the same command again."


class Standstill:
    """When each worker's heartbeat last changed, by this process's own clock.

    Args:
        stage: its name, for the user.
        stalled_s: seconds after which a unit is named, once.
        no_progress_s: seconds without any heartbeat or finished unit after which the job ends.
        now: the time it begins.
    """

    def __init__(self, stage: str, *, stalled_s: float, no_progress_s: float, now: float) -> None:
        self.stage, self.stalled_s, self.no_progress_s = stage, stalled_s, no_progress_s
        self.known: dict[str, State] = {}  # by unit
        self.current: dict[str, tuple[State, float]] = {}  # by worker, with the time of the change
        self.named: set[State] = set()
        self.last = now

    def progress(self, now: float) -> None:
        """A unit has finished."""
        self.last = now

    def look(self, records: dict[str, dict[str, Any]], now: float) -> list[str]:
        """Lines about the units that stand still, each once. Records as `UnitWatch.records` gives them."""
        for name, record in records.items():
            state = (record["worker"], name, record["tries"], record["stage"], record["beats"])
            if self.known.get(name) != state:
                self.known[name], self.last = state, now
                self.current[record["worker"]] = state, now  # of a restarted actor the unit that it took up last
        self.known = {name: state for name, state in self.known.items() if name in records}
        self.current = {worker: pair for worker, pair in self.current.items() if pair[0][1] in records}
        lines = []
        for state, since in self.current.values():
            if now - since >= self.stalled_s and state not in self.named:
                self.named.add(state)
                lines.append(f"{self.stage}: {_place(state)} has stood still for {now - since:.0f} s")
        return lines

    def verdict(self, now: float) -> str | None:
        """What to say where the job must end."""
        if now - self.last < self.no_progress_s:
            return None
        places = sorted(_place(state) for state, _ in self.current.values())
        where = f": {'; '.join(places[:3])}" if places else ", and no unit was under way"
        return f"The stage {self.stage!r} made no progress for {now - self.last:.0f} s{where}."


def _place(state: State) -> str:
    _, name, _, stage, _ = state
    return f"unit {name.partition('/')[2]} (at {stage!r})"


class Watchdog(threading.Thread):
    """Looks at the records every few seconds; where nothing gets on it interrupts the main thread, once."""

    def __init__(self, watch: UnitWatch, stage: str) -> None:
        super().__init__(daemon=True)
        self.watch, self.done, self.ended = watch, threading.Event(), ""
        ray = watch.ray
        self.every_s = min(LOOK_S, ray.stalled_s / 4, ray.no_progress_s / 4)
        self.standstill = Standstill(
            stage, stalled_s=ray.stalled_s, no_progress_s=ray.no_progress_s, now=time.monotonic()
        )

    def run(self) -> None:
        """Look until it is done."""
        while not self.done.wait(self.every_s):
            try:
                records = self.watch.records()
            except (RayError, RuntimeError, OSError):
                continue  # the head does not answer: Ray itself ends such a job
            for line in self.standstill.look(records, time.monotonic()):
                say(line)
            if verdict := self.standstill.verdict(time.monotonic()):
                self.ended = verdict
                os.kill(os.getpid(), INTERRUPTION)
                return


def watched_ledger(dataset: Any, stage: str, watch: UnitWatch) -> Iterator[dict[str, Any]]:
    """Run a dataset of ledger rows under the eye of a watchdog; they come as units finish.

    Raises:
        MedrayError: as `ledger_of`, or nothing got on for `no_progress_s`.
    """
    dog = Watchdog(watch, stage)
    former = signal.signal(INTERRUPTION, signal.default_int_handler)  # which raises KeyboardInterrupt
    dog.start()
    try:
        for row in ledger_of(dataset, stage):
            dog.standstill.progress(time.monotonic())
            yield row
    except KeyboardInterrupt:
        if dog.ended:
            raise MedrayError(dog.ended, CURE) from None
        raise
    finally:
        dog.done.set()
        dog.join()
        signal.signal(INTERRUPTION, former)
    watch.forget()
