"""Jobs in the test's own process: the same functions in the same order, without Ray around them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pyarrow as pa
import pytest

from medray.pipelines import explain as explain_room
from medray.pipelines import index as index_room
from medray.pipelines import retry as retry_room
from medray.pipelines import score as score_room
from medray.pipelines.scorer import Scorer


def run_units(todo, settings, plan, key) -> Iterator[dict[str, Any]]:
    """As `scorer.run_units`, one unit after the other by one actor."""
    scorer = Scorer(settings, plan, key)
    for unit in todo:
        yield from scorer(pa.Table.from_pylist([vars(unit)])).to_pylist()


def on_actors(units, _, watched, **__) -> list[dict[str, Any]]:
    """As `units.on_actors` with one watched actor, without the watch; its ledger rows."""
    _, worker, arguments = watched
    actor = worker(*arguments)
    return [row for unit in units for row in actor(pa.Table.from_pylist([vars(unit)])).to_pylist()]


@contextmanager
def without_ray() -> Iterator[None]:
    """`index`, `score` (with its explanations) and `retry` within the block start no Ray."""
    with pytest.MonkeyPatch.context() as patch:
        for room in (index_room, score_room, retry_room, explain_room):
            patch.setattr(room, "cluster", lambda *_: nullcontext())
        for room in (score_room, retry_room):
            patch.setattr(room, "run_units", run_units)
        read_all = lambda units, read, **_: [row for unit in units for row in read(unit).to_pylist()]  # noqa: E731
        patch.setattr(index_room, "unit_dataset", read_all)
        patch.setattr(explain_room, "on_actors", on_actors)
        patch.setattr(index_room, "ledger_of", lambda rows, _: iter(rows))
        patch.setattr(explain_room, "watched_ledger", lambda rows, *_: iter(rows))
        patch.setattr(explain_room, "cpus", lambda: 1)
        yield
