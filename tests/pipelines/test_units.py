"""Units on their way to warm actors: each arrives once, in few blocks."""

import pyarrow as pa
import pytest

from medray.pipelines.cluster import cluster
from medray.pipelines.units import BLOCKS_AN_ACTOR, PlannedUnit, _blocks, ledger_of, on_actors, unit_of
from medray.settings import RaySettings


class Echo:
    """Answers with the unit it was given."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __call__(self, block: pa.Table) -> pa.Table:
        unit = unit_of(block)
        return pa.table({"unit_id": [self.mark + unit.unit_id], "row_group": [unit.row_group]})


def units(count):
    return [PlannedUnit(f"{number:04x}", "plan.parquet", number, 1) for number in range(count)]


@pytest.mark.parametrize("actors", [1, 2, 7])
@pytest.mark.parametrize("count", [1, 64, 65, 128, 129, 1000])
def test_blocks_hold_each_unit_once_in_order_and_are_few(count, actors):
    blocks = _blocks(units(count), actors)
    assert [unit_of(block.slice(row, 1)) for block in blocks for row in range(len(block))] == units(count)
    assert len(blocks) <= actors * BLOCKS_AN_ACTOR
    assert len(blocks) == count or count > actors * BLOCKS_AN_ACTOR  # one unit a block as long as they are few


@pytest.mark.parametrize("count", [1, 200])
def test_actors_answer_to_each_unit_once(ray_local, count):
    with cluster(RaySettings()):  # the one that runs already
        rows = list(ledger_of(on_actors(units(count), Echo, ("unit ",), actors=2, settings=RaySettings()), "echo"))
    wanted = [{"unit_id": f"unit {unit.unit_id}", "row_group": unit.row_group} for unit in units(count)]
    assert sorted(rows, key=lambda row: row["row_group"]) == wanted
