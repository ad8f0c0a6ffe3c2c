"""The ledger: listed = ok + failed + skipped, each that is not ok with a reason, or it is refused."""

from typing import Any

import pyarrow as pa
import pytest

from medray.errors import OutputError
from medray.pipelines.funnel import Funnel, checked_funnel, funnel_lines

ROWS = pa.table(
    {
        "status": ["ok", "failed", "skipped", "failed", "ok"],
        "reason": [None, "not_found", "container", "not_found", None],
        "member": [None, None, None, "m", "m"],
    }
)
FACTS: dict[str, Any] = {
    "listed": 5,
    "status": {"ok": 2, "failed": 2, "skipped": 1},
    "reasons": {"failed:not_found": 2, "skipped:container": 1},
}


def _counted(*tables):
    counts = Funnel()
    assert [table.num_rows for table in counts.counted(tables)] == [table.num_rows for table in tables]
    return counts


def test_rows_are_counted_by_status_and_reason_over_several_tables():
    assert _counted(ROWS).facts() == FACTS
    assert _counted(ROWS.slice(0, 2), ROWS.slice(2)).facts() == FACTS
    assert _counted(ROWS).objects == 3
    assert _counted().facts() == {"listed": 0, "status": {}, "reasons": {}}


@pytest.mark.parametrize(
    "changed",
    [
        {"listed": 6},
        {"status": {"ok": 2, "failed": 3, "skipped": 1}, "listed": 6},
        {"reasons": {"failed:not_found": 2}},
        {"reasons": FACTS["reasons"] | {"ok:fine": 1}},
        {"status": {"ok": 2, "failed": 2, "lost": 1}},
    ],
    ids=["the sum", "a failure without a reason", "a skip without one", "an ok with one", "an unknown status"],
)
def test_a_ledger_that_does_not_add_up_is_refused(changed):
    with pytest.raises(OutputError, match="does not add up"):
        checked_funnel(FACTS | changed, "It")


def test_the_lines_say_the_sum_and_each_reason_once():
    assert funnel_lines("samples", FACTS) == [
        "samples: listed 5 = ok 2 + failed 2 + skipped 1",
        "  failed: not_found 2",
        "  skipped: container 1",
    ]
