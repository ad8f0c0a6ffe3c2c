"""What the ledger tells of a run's actors: how many there were, how often they started, how often they loaded."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray

from medray.scoring.plan import ScoringPlan
from medray.scoring.warm import PROCESS


def with_loads(ledger_row: pa.Table, loads: list[int]) -> pa.Table:
    """A unit's ledger row with the actor that did it, its process, and what that process has loaded until then."""
    actor = ray.get_runtime_context().get_actor_id() if ray.is_initialized() else None
    for name, value in (("actor", actor or ""), ("process", PROCESS), ("loads", loads)):
        ledger_row = ledger_row.append_column(name, pa.array([value]))
    return ledger_row


def warmth(ledger: Sequence[dict[str, Any]], plan: ScoringPlan) -> dict[str, Any]:
    """Actors that finished a unit in this run, those of them that started again, and loads of each bundle's model.

    With warm actors each bundle is loaded `actors` + `restarts` times, however many units there are.
    """
    loads: dict[str, list[int]] = defaultdict(lambda: [0] * len(plan.members))
    for row in ledger:
        loads[row["process"]] = [max(pair) for pair in zip(loads[row["process"]], row["loads"], strict=True)]
    actors = len({row["actor"] for row in ledger})
    totals = [sum(each) for each in zip(*loads.values(), strict=True)] or [0] * len(plan.members)
    by_bundle = {member.own_id: total for member, total in zip(plan.members, totals, strict=True)}
    return {"actors": actors, "restarts": len(loads) - actors, "model_loads": by_bundle}
