"""How far a job is: one bar on a terminal, lines at growing intervals in a log, counters for Prometheus; a summary."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import ray
from tqdm import tqdm

from medray.pipelines.funnel import funnel_lines
from medray.pipelines.meters import Meters
from medray.pipelines.tally import LedgerRow, Tally, in_words, summary_in_words

PACE = ((60.0, 15.0), (1800.0, 60.0), (float("inf"), 300.0))
"""Up to which age of the job a line comes each so many seconds: 39 lines in the first hour, 12 in each later one."""
BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} {unit}{postfix}"


def say(text: str) -> None:
    """A line for the user, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def say_funnels(verb: str, funnels: dict[str, dict[str, Any]]) -> None:
    """The ledger of a job, in the same few lines at the end of each: what was listed, and what became of it."""
    for of, funnel in funnels.items():
        for line in funnel_lines(of, funnel):
            say(f"{verb}: {line}")


def progress(units: Iterable[LedgerRow], *, total: int, what: str) -> Iterator[LedgerRow]:
    """Pass the ledger rows of a job that has no summary through, and show how far it is."""
    yield from Progress(what).over(units, total=total)


class Progress:
    """Over the units of a job, from its start on.

    Args:
        what: the verb.
        noun: what a row is.
        price_per_hour: of all machines of the job together.
        clock: seconds.
    """

    def __init__(
        self,
        what: str,
        *,
        noun: str = "images",
        price_per_hour: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.noun, self.price_per_hour = what, noun, price_per_hour
        self.tally = Tally(clock)
        self.total = self.done = self.done_before = 0
        self.began: float | None = None  # the first unit of what `over` is over
        self._said = clock()

    def over(self, units: Iterable[LedgerRow], *, total: int, step: str | None = None) -> Iterator[LedgerRow]:
        """Pass ledger rows through and show how far the work is.

        Args:
            units: a ledger row for each finished unit; one without `unit_id` is what earlier runs of the job did.
            total: units to come, or the sum of their column `step`.
            step: the column that the total counts; none = units.
        """
        self.total, self.done, self.done_before, self.began = total, 0, 0, None
        meters = Meters(self.what) if ray.is_initialized() else None
        if meters:
            meters.plan(total)
        terminal, name = sys.stderr.isatty(), step or "units"
        with tqdm(total=total, desc=self.what, unit=name, file=sys.stderr, disable=not terminal, bar_format=BAR) as bar:
            for unit in units:
                forward = int(unit[step]) if step else 1
                self._count(unit, forward)
                if meters:
                    meters.count(unit, forward)
                bar.set_postfix_str(self.in_words(), refresh=False)
                bar.update(self.done - bar.n)
                if not terminal and self.done < total and self._is_time():
                    say(self._line(name))
                yield unit
        if not terminal and total:
            say(self._line(name))

    def _count(self, unit: LedgerRow, forward: int) -> None:
        self.done += forward
        if "unit_id" in unit:
            self.tally.add(unit)
            self.began = self.began or self.tally.clock() - unit["seconds"]
        else:
            self.done_before += forward

    def seconds_left(self) -> float | None:
        """Until the total is reached, at the pace of this run; None while there is none."""
        here = self.done - self.done_before
        if self.began is None or here <= 0:
            return None
        return (self.total - self.done) * (self.tally.clock() - self.began) / here

    def in_words(self) -> str:
        """Rates, remaining time, failures and bottleneck."""
        left, tally = self.seconds_left(), self.tally
        rates = f"{tally.rate_now():,.1f} {self.noun}/s now, {tally.rate():,.1f}/s overall"
        remaining = f"{in_words(left)} left" if left is not None else "time left unknown"
        return f"{rates}, {remaining}, {tally.failed_in_words()}, most time: {tally.bottleneck_in_words()}"

    def _line(self, name: str) -> str:
        share = self.done / self.total if self.total else 1.0
        return f"{self.what}: {self.done:,}/{self.total:,} {name} ({share:.0%}), {self.in_words()}"

    def _is_time(self) -> bool:
        now, age = self.tally.clock(), self.tally.seconds()
        pause = next(pause for until, pause in PACE if age <= until)
        if now - self._said < pause:
            return False
        self._said = now
        return True

    def summary(self) -> dict[str, Any]:
        """The key `run` of the job's manifest: this run alone, up to now."""
        return self.tally.summary(self.price_per_hour)

    def say_summary(self, summary: dict[str, Any]) -> None:
        """Print a summary, in two lines."""
        for line in summary_in_words(summary, self.noun):
            say(f"{self.what}: {line}")
