"""One bar on a terminal; a line now and then in a log."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from tqdm import tqdm

from medray.pipelines.funnel import funnel_lines

LOG_EVERY_S = 15.0


def say(text: str) -> None:
    """A line for the user, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def say_funnels(verb: str, funnels: dict[str, dict[str, Any]]) -> None:
    """The ledger of a job, in the same few lines at the end of each: what was listed, and what became of it."""
    for of, funnel in funnels.items():
        for line in funnel_lines(of, funnel):
            say(f"{verb}: {line}")


def progress(
    units: Iterable[dict[str, Any]], *, total: int, what: str, step: str | None = None
) -> Iterator[dict[str, Any]]:
    """Pass ledger rows through and show how far the work is, how fast, and how many rows failed.

    Args:
        units: a ledger row for each finished unit.
        total: units to come, or the sum of their column `step`.
        what: the name of the work.
        step: the column that the total counts; none = units.
    """
    done, rows, failed, started, last = 0, 0, 0, time.monotonic(), time.monotonic()
    terminal, unit_name = sys.stderr.isatty(), step or "units"
    with tqdm(total=total, desc=what, unit=unit_name, file=sys.stderr, disable=not terminal, dynamic_ncols=True) as bar:
        for unit in units:
            forward = int(unit[step]) if step else 1
            done, rows, failed = done + forward, rows + int(unit["rows"]), failed + int(unit["failed"])
            rate = rows / max(time.monotonic() - started, 1e-9)
            bar.set_postfix_str(f"{rows:,} rows, {rate:,.0f}/s, {failed:,} failed")
            bar.update(forward)
            if not terminal and (time.monotonic() - last > LOG_EVERY_S or done == total):
                last = time.monotonic()
                say(f"{what}: {done:,}/{total:,} {unit_name}, {rows:,} rows, {rate:,.0f}/s, {failed:,} failed")
            yield unit
