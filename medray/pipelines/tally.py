"""What the units of a run add up to: rates, remaining time, failures, which stage is the bottleneck, cost."""

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from medray.schema import STAGES

RECENT_S = 60.0
REASONS_SAID = 3
STAGE_WORDS = {"waiting": "waiting for work"}
LedgerRow = dict[str, Any]
"""A row of `schema.LEDGER`."""


class Tally:
    """The units that are finished so far.

    Attributes:
        units, rows: of them, and how many samples (of an index: objects) they hold.
        status: rows by ok, skipped and failed.
        reasons: failed rows by reason.
        stage_seconds: of all workers together.
        bytes: read from the store.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock, self.started = clock, clock()
        self.units = self.rows = self.bytes = 0
        self.status: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.stage_seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.began: float | None = None  # the first unit
        self._arrived: tuple[float, float] = (0.0, 0.0)  # when the first unit was finished, and the last one
        self._first_rows = 0
        self._recent: deque[tuple[float, int]] = deque()

    def add(self, row: LedgerRow) -> None:
        """A unit is finished."""
        now = self.clock()
        if self.began is None:
            self.began = max(self.started, now - row["seconds"])
            self._arrived, self._first_rows = (now, now), row["rows"]
            self._recent.append((self.began, 0))
        self._arrived = self._arrived[0], now
        self.units, self.rows, self.bytes = self.units + 1, self.rows + row["rows"], self.bytes + row["bytes"]
        self.status.update({name: row[name] for name in ("ok", "skipped", "failed") if row[name]})
        self.reasons.update(dict(row["reasons"]))
        of_this_job = max(0.0, now - self.started - row["seconds"])  # Ray's workers serve one job after another
        waited = min(row["stage_seconds"]["waiting"], of_this_job)
        for stage, seconds in (row["stage_seconds"] | {"waiting": waited}).items():
            self.stage_seconds[stage] += seconds
        self._recent.append((now, self.rows))
        while len(self._recent) > 2 and self._recent[1][0] < now - RECENT_S:
            self._recent.popleft()

    def seconds(self) -> float:
        """Since the job started."""
        return self.clock() - self.started

    def rate(self) -> float:
        """Rows a second since the first unit began."""
        return 0.0 if self.began is None else _per(self.rows, self.clock() - self.began)

    def rate_now(self) -> float:
        """Rows a second in the last minute, or as long as units take."""
        if not self._recent:
            return 0.0
        then, rows = self._recent[0]
        return _per(self.rows - rows, self.clock() - then)

    def warm_rate(self) -> float | None:
        """Rows a second from the first finished unit to the last one: no start, no end. None of fewer than two."""
        first, last = self._arrived
        return _per(self.rows - self._first_rows, last - first) if last > first else None

    def shares(self) -> dict[str, float]:
        """Share of each stage of the workers' time from each one's first unit to its last; 1 in all."""
        total = sum(self.stage_seconds.values())
        return {stage: _per(seconds, total) for stage, seconds in self.stage_seconds.items()}

    def bottleneck(self) -> str:
        """The stage with the largest share, or that workers wait for work; empty before the first unit."""
        shares = self.shares()
        return max(shares, key=lambda stage: shares[stage]) if self.units else ""

    def failed_in_words(self) -> str:
        """How many rows failed, and the commonest reasons."""
        said = ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.most_common(REASONS_SAID))
        return f"{self.status['failed']:,} failed" + (f" ({said})" if said else "")

    def bottleneck_in_words(self) -> str:
        """The bottleneck and its share."""
        stage = self.bottleneck()
        return f"{STAGE_WORDS.get(stage, stage)} {self.shares()[stage]:.0%}" if stage else "no unit is finished yet"

    def summary(self, price_per_hour: float | None = None) -> dict[str, Any]:
        """The key `run` of a manifest.

        Args:
            price_per_hour: of all machines of the job together, in any currency.
        """
        seconds = self.seconds()
        cost = None if price_per_hour is None else price_per_hour * seconds / 3600
        return {
            "seconds": seconds,
            "units": self.units,
            "images": self.rows,
            "images_per_s": _per(self.rows, seconds),
            "warm_images_per_s": self.warm_rate(),
            "bytes": self.bytes,
            "megabytes_per_s": _per(self.bytes / 1e6, seconds),
            "stage_seconds": dict(self.stage_seconds),
            "stage_shares": self.shares(),
            "bottleneck": self.bottleneck() or None,
            "failures": dict(self.reasons.most_common()),
            "price_per_hour": price_per_hour,
            "cost_per_1000_images": cost * 1000 / self.rows if self.rows and cost is not None else None,
        }


def _per(amount: float, of: float) -> float:
    """A ratio; 0 of nothing."""
    return amount / of if of > 0 else 0.0


def summary_in_words(summary: dict[str, Any], noun: str = "images") -> list[str]:
    """A run's summary as lines for the user; nothing of a run without a unit."""
    if not summary["units"]:
        return []
    warm = summary["warm_images_per_s"]
    rates = f"{summary['images_per_s']:,.1f} {noun}/s" + (f", warm {warm:,.1f}" if warm else "")
    size = f"{summary['bytes'] / 1e6:,.1f} MB read ({summary['megabytes_per_s']:,.1f} MB/s)"
    cost = summary["cost_per_1000_images"]
    price = f"; {cost:,.4g} per 1,000 {noun}" if cost is not None else ""
    shares = sorted(summary["stage_shares"].items(), key=lambda share: -share[1])
    busy = ", ".join(f"{STAGE_WORDS.get(stage, stage)} {share:.0%}" for stage, share in shares if share >= 0.005)
    return [
        f"{summary['images']:,} {noun} in {in_words(summary['seconds'])}: {rates}; {size}{price}",
        f"workers' time: {busy}",
    ]


def in_words(seconds: float) -> str:
    """A duration: 0:42, 12:05, 3:10:00, 2 days 3:10:00."""
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    clock = f"{hours}:{minutes:02d}:{rest:02d}" if hours or days else f"{minutes}:{rest:02d}"
    return f"{days} days {clock}" if days else clock
