"""The predictions of several bundles to those of their mean."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float

from medray.scoring.mean import mean_predictions
from medray.scoring.plan import Output
from medray.scoring.score import Predictions
from medray.scoring.table import answer_columns, positions_of
from medray.training.task import Classify


def mean_table(tables: Sequence[pa.Table], output: Output) -> pa.Table:
    """The mean of the predictions of several bundles.

    Args:
        tables: predictions of the same unit, of the output's members in their order.
        output: the mean's.

    Returns:
        Predictions, without weights of frames. A sample that one of the bundles could not take has failed, for that
        one's reason: a mean over fewer bundles would be another model's answer.
    """
    first = tables[0]
    assert all(table["sample_id"].equals(first["sample_id"]) for table in tables), "bundles of different samples"
    oks = [pc.equal(table["status"], "ok").to_numpy().astype(bool) for table in tables]
    all_ok = np.logical_and.reduce(oks)
    chances = [_matrix(table.filter(pa.array(all_ok)), len(output.classes)) for table in tables]
    answers = Predictions([], chances[0], chances[0], np.zeros(len(chances[0]), np.int64))
    mean = mean_predictions(
        [replace(answers, probabilities=each) for each in chances], Classify(output.classes, threshold=output.threshold)
    )
    answered = answer_columns(mean, output.classes).take(positions_of(all_ok))
    columns = {name: answered[name] for name in answered.column_names}
    columns |= {"recipe_id": _same(output.recipe_id, first), "model_id": _same(output.model_id, first)}
    columns |= _outcomes(tables, oks) | {"flags": _flags(tables)}
    if "frame_weights" in first.column_names:
        columns["frame_weights"] = pa.nulls(first.num_rows, first.schema.field("frame_weights").type)
    kept = {name: first[name] for name in first.column_names if name not in columns}
    return pa.table({**kept, **columns}).select(first.column_names).cast(first.schema)


def _matrix(ok: pa.Table, classes: int) -> Float[np.ndarray, "answers classes"]:
    values: np.ndarray = ok["probabilities"].combine_chunks().flatten().to_numpy()
    return values.reshape(-1, classes)


def _same(value: str, table: pa.Table) -> pa.Array:
    return pa.array([value] * table.num_rows, pa.string())


def _outcomes(tables: Sequence[pa.Table], oks: Sequence[np.ndarray]) -> dict[str, pa.ChunkedArray]:
    """Status, reason and detail of the first bundle that failed, else of the first one."""
    failing = np.argmin(np.stack(oks), axis=0)
    stacked = pa.concat_tables(table.select(["status", "reason", "detail"]) for table in tables)
    chosen = stacked.take(pa.array(failing * tables[0].num_rows + np.arange(tables[0].num_rows)))
    return {name: chosen[name] for name in chosen.column_names}


def _flags(tables: Sequence[pa.Table]) -> pa.ChunkedArray | pa.Array:
    """Of all bundles: they differ only where one of them could not take the sample."""
    first = tables[0]["flags"]
    if all(table["flags"].equals(first) for table in tables):
        return first
    rows = zip(*(table["flags"].to_pylist() for table in tables), strict=True)
    return pa.array([sorted({flag for flags in row for flag in flags or ()}) for row in rows], first.type)
