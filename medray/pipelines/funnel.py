"""The ledger of a job: listed = ok + failed(reason) + skipped(reason), counted, checked, and said in a few lines."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from medray.errors import OutputError

STATUSES = ("ok", "failed", "skipped")


class Funnel:
    """Counts rows by status and reason as they pass, and of them those of whole objects (no members of a shard)."""

    def __init__(self) -> None:
        self.status: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.objects = 0

    def counted(self, rows: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same tables, counted."""
        for table in rows:
            outcomes = table.select(["status", "reason"]).group_by(["status", "reason"], use_threads=False)
            for row in outcomes.aggregate([([], "count_all")]).to_pylist():
                self.status[row["status"]] += row["count_all"]
                if row["reason"]:
                    self.reasons[f"{row['status']}:{row['reason']}"] += row["count_all"]
            self.objects += table["member"].null_count if "member" in table.column_names else 0
            yield table

    def facts(self) -> dict[str, Any]:
        """Counts for the manifest.

        Raises:
            OutputError: they do not add up.
        """
        by_count = {"status": dict(self.status.most_common()), "reasons": dict(self.reasons.most_common())}
        return checked_funnel({"listed": self.status.total(), **by_count}, "This job's ledger")


def checked_funnel(funnel: dict[str, Any], where: str) -> dict[str, Any]:
    """Counts of a manifest, where each row is ok, failed or skipped, and each that is not ok has a reason.

    Raises:
        OutputError: listed is not ok + failed + skipped, or a status is not the sum of its reasons.
    """
    status, reasons = funnel["status"], funnel["reasons"]
    wrong = set(status) - set(STATUSES)
    for name in STATUSES:
        given = sum(count for reason, count in reasons.items() if reason.startswith(f"{name}:"))
        if given != (0 if name == "ok" else status.get(name, 0)):
            wrong.add(name)
    if wrong or funnel["listed"] != sum(status.values()):
        raise OutputError(
            f"{where} does not add up: listed {funnel['listed']:,}, {', '.join(sorted(wrong)) or 'the sum'} is off.",
            "Delete the output and make it again; please report it.",
        )
    return funnel


def same_funnel(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two count the same."""
    return all(one[name] == other[name] for name in ("listed", "status", "reasons"))


def funnel_lines(of: str, funnel: dict[str, Any]) -> list[str]:
    """The ledger in words: a line with the sum, and one with the reasons of each status that has any.

    Args:
        of: what was counted.
        funnel: of a manifest.
    """
    parts = " + ".join(f"{name} {funnel['status'].get(name, 0):,}" for name in STATUSES)
    lines = [f"{of}: listed {funnel['listed']:,} = {parts}"]
    for name in STATUSES[1:]:
        counts = Counter({key: count for key, count in funnel["reasons"].items() if key.startswith(f"{name}:")})
        said = ", ".join(f"{key.partition(':')[2]} {count:,}" for key, count in counts.most_common())
        lines += [f"  {name}: {said}"] if said else []
    return lines
