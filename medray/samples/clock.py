"""Seconds of each stage of a unit, measured where they pass: a unit's clock always runs for exactly one stage.

A stage costs two readings of the monotonic clock, a few microseconds. Code that is in no unit may use `stage` too:
nothing is measured then.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from medray.schema import STAGES, Stage


@dataclass(frozen=True)
class Taken:
    """Seconds by stage, and bytes of the store."""

    seconds: dict[Stage, float]
    bytes_read: int

    def busy_seconds(self) -> float:
        """Without waiting."""
        return sum(self.seconds.values()) - self.seconds["waiting"]

    def packed(self) -> str:
        """As text, for a column of a table."""
        return json.dumps(vars(self))

    @classmethod
    def unpacked(cls, text: str) -> "Taken":
        """From `packed`."""
        return cls(**json.loads(text))


class UnitClock:
    """Seconds of one unit by stage. Their sum is the time from `began` on, and `waiting`.

    Attributes:
        seconds: of each stage.
        bytes_read: of objects of the store.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds: dict[Stage, float] = dict.fromkeys(STAGES, 0.0)
        self.bytes_read = 0
        self._clock = clock
        self._stage: Stage = "other"
        self.began = self._since = clock()

    def switch(self, stage: Stage) -> Stage:
        """From now on the clock runs for this stage; the one before."""
        now, former = self._clock(), self._stage
        self.seconds[former] += now - self._since
        self._stage, self._since = stage, now
        return former

    def lend(self, stage: Stage, seconds: float) -> None:
        """What runs now waited while another process spent these seconds on `stage`: they count as that stage's."""
        self.seconds[stage] += seconds
        self.seconds[self._stage] -= seconds

    def taken(self) -> "Taken":
        """What was counted since the last call; counting starts anew."""
        self.switch(self._stage)
        taken = Taken(self.seconds, self.bytes_read)
        self.seconds, self.bytes_read = dict.fromkeys(STAGES, 0.0), 0
        return taken

    def add(self, earlier: "Taken") -> None:
        """What the same unit took in another worker before; that worker's waiting is not this one's."""
        self.bytes_read += earlier.bytes_read
        for stage, seconds in earlier.seconds.items():
            self.seconds[stage] += 0.0 if stage == "waiting" else seconds


_under_way: ContextVar[UnitClock | None] = ContextVar("unit_under_way", default=None)
_free_since: dict[str, float] = {}
"""When this process ended its last unit, by job."""


def running() -> UnitClock:
    """The clock of the unit under way; one that nobody reads where there is none."""
    return _under_way.get() or UnitClock()


@contextmanager
def stage(name: Stage) -> Iterator[None]:
    """The block is this stage of the unit under way. A stage within another one stops the outer one's clock."""
    clock = running()
    former = clock.switch(name)
    try:
        yield
    finally:
        clock.switch(former)


class unit_clock(ContextDecorator):  # noqa: N801 (used as a decorator, like `contextmanager`'s)
    """The block, or the decorated function, works on one unit of a job; gives its clock.

    `waiting` is the time since this process ended its last unit of the same job, 0 for its first one: that a worker
    starts is no waiting for work.
    """

    def __init__(self, job: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.job, self.clock = job, clock

    def _recreate_cm(self) -> "unit_clock":
        return unit_clock(self.job, self.clock)  # a call within a call has a clock of its own

    def __enter__(self) -> UnitClock:
        self.unit = UnitClock(self.clock)
        self.unit.seconds["waiting"] = self.unit.began - _free_since.pop(self.job, self.unit.began)
        self.token = _under_way.set(self.unit)
        return self.unit

    def __exit__(self, *_: object) -> None:
        self.unit.switch("other")
        _under_way.reset(self.token)
        _free_since.clear()
        _free_since[self.job] = self.clock()
