"""Counters for Prometheus, at the metrics endpoint of the Ray node on which the driver runs.

The driver alone counts, and it counts ledger rows: a unit that ran twice because its worker died is counted once, and
one endpoint has all of a job. Every series has the labels `job_id` (Ray's) and `verb`. Ray puts `ray_` in front of a
name and `_total` behind a counter's, and hands on what it is told within ten seconds.
docs/grafana/medray.json draws them.
"""

from typing import Any

import ray
from ray.util.metrics import Counter, Histogram

LABELS = ("job_id", "verb")
COUNTERS: dict[str, tuple[str, str | None]] = {
    "medray_planned": ("Work in all: objects of a scoring, units of other jobs.", None),
    "medray_done": ("Of that work what is done, also by earlier runs of the job.", None),
    "medray_units": ("Finished units.", None),
    "medray_samples": ("Samples (of an index: objects) of finished units.", "status"),
    "medray_failures": ("Failed samples.", "reason"),
    "medray_read_bytes": ("Bytes of objects read from the store.", None),
    "medray_stage_seconds": ("Seconds that all workers together spent on a stage.", "stage"),
}
"""What each counts, and the label by which it does. There is no gauge: Ray drops one that is silent for ten seconds."""

UNIT_SECONDS = "medray_unit_seconds"
BOUNDARIES = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000]


class Meters:
    """Those of one job, for a driver that has joined a cluster."""

    def __init__(self, verb: str) -> None:
        self.labels = {"job_id": ray.get_runtime_context().get_job_id(), "verb": verb}
        self.counters = {
            name: Counter(name, description=what, tag_keys=(*LABELS, *filter(None, [label])))
            for name, (what, label) in COUNTERS.items()
        }
        what = "Seconds of work on a unit."
        self.unit_seconds = Histogram(UNIT_SECONDS, description=what, boundaries=BOUNDARIES, tag_keys=LABELS)

    def plan(self, total: int) -> None:
        """So much is to do."""
        self._add("medray_planned", {None: total})

    def count(self, unit: dict[str, Any], forward: int) -> None:
        """A ledger row has come, for so much of the plan; one without `unit_id` is work of an earlier run."""
        self._add("medray_done", {None: forward})
        if "unit_id" not in unit:
            return
        self._add("medray_units", {None: 1})
        self._add("medray_samples", {name: unit[name] for name in ("ok", "skipped", "failed")})
        self._add("medray_failures", dict(unit["reasons"]))
        self._add("medray_read_bytes", {None: unit["bytes"]})
        self._add("medray_stage_seconds", unit["stage_seconds"])
        self.unit_seconds.observe(max(unit["seconds"], 1e-9), self.labels)

    def _add(self, name: str, amounts: dict[Any, float]) -> None:
        label = COUNTERS[name][1]
        for value, amount in amounts.items():
            if amount > 0:
                self.counters[name].inc(amount, {**self.labels, **({label: value} if label else {})})
