"""Look numbers up in a metrics table and write them out."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

METRIC_TITLES = {
    "dice": "Dice",
    "dice_pooled": "Pooled Dice",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "f1": "F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "brier_score": "Brier score",
    "expected_calibration_error": "Calibration error",
    "prevalence": "Prevalence",
}

MetricRow = Mapping[str, Any]
MetricRows = dict[tuple[str, str, str], MetricRow]


def by_key(metrics: pa.Table | None) -> MetricRows:
    """Arrange rows of `schema.METRICS` by (subgroup, label, metric)."""
    rows = metrics.to_pylist() if metrics is not None else []
    return {(row["subgroup"], row["label"], row["metric"]): row for row in rows}


def value_text(row: MetricRow | None) -> str:
    """Write the point estimate with three digits, or an en dash where it is not defined."""
    return "–" if row is None or row["value"] is None else f"{row['value']:.3f}"


def interval_text(row: MetricRow | None) -> str:
    """Write `low – high`, or nothing where there is no interval."""
    return "" if row is None or row["low"] is None else f"{row['low']:.3f} – {row['high']:.3f}"


def count_text(count: int) -> str:
    """Write a count with thin spaces between thousands, as ISO 80000-1 has it."""
    return f"{count:,}".replace(",", "\u2009")
