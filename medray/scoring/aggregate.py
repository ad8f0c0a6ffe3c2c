"""Predictions to one row a series, study or patient: a group-by in a stream of tables, in memory that groups bound."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool, Float64

from medray.schema import AGGREGATES
from medray.scoring.table import positions_of
from medray.settings import AggregateLevel
from medray.training.task import Classify

Rule = Literal["mean", "max", "noisy_or"]
Terms = Float64[np.ndarray, "groups _"]

PARENTS: dict[AggregateLevel, tuple[str, ...]] = {
    "series": ("patient_key", "study_key"),
    "study": ("patient_key",),
    "patient": (),
}
TO_AGGREGATE = ["sample_id", "object_id", "status", "reason", "patient_key", "study_key", "series_key", "probabilities"]
"""Columns of the predictions that groups rest on; all but the last one say what they are and count them."""
GROUP = ["group_key", "keyed_by"]
COUNTED = ["samples", "ok", "failed"]


def aggregate(
    predictions: Iterable[pa.Table], task: Classify, *, rule: Rule, level: AggregateLevel, facts: dict[str, str]
) -> pa.Table:
    """One row a group, in the order of their keys.

    All samples of a group that are ok weigh the same, whatever series or study they are of. `mean` is the mean of
    their probabilities. `max` of two classes is the largest probability of the second one, the finding, and 1 - it; of
    more classes each one's largest, divided by their sum. `noisy_or` of two classes is 1 - product of (1 - p).

    Args:
        predictions: tables with the columns TO_AGGREGATE.
        task: classes and threshold of the predictions.
        rule: as above.
        level: what a group is.
        facts: `model_id` and `recipe_id`.

    Returns:
        `schema.AGGREGATES`. Failed samples are counted; a group without an ok one has failed.
    """
    finding = len(task.classes) == 2 and rule != "mean"
    numbers = [1] if finding else list(range(len(task.classes)))
    groups = _grouped(predictions, level, rule, numbers)
    good = pc.greater(groups["ok"], 0).to_numpy().astype(bool)
    known = groups.filter(pa.array(good))
    terms = np.column_stack([known[f"term_{number}"].to_numpy() for number in numbers])
    chances = torch.from_numpy(_combined(terms, known["ok"].to_numpy(), rule, finding).astype(np.float32))
    labels = pa.array([task.classes[number] for number in task.decide(chances).tolist()], pa.string())
    lists = pa.FixedSizeListArray.from_arrays(pa.array(chances.numpy().ravel()), len(task.classes))
    place = positions_of(good)
    answers = {"probabilities": lists.take(place), "label": labels.take(place)}
    return _rows(groups, answers, good, level, facts | {"rule": rule})


def count_groups(predictions: Iterable[pa.Table], level: AggregateLevel) -> pa.Table:
    """GROUP and COUNTED of every group, in the order of their keys: what a table of aggregates must say."""
    return _grouped(predictions, level, "mean", []).select([*GROUP, *COUNTED])


def _grouped(predictions: Iterable[pa.Table], level: AggregateLevel, rule: Rule, numbers: list[int]) -> pa.Table:
    """Counts, terms, reasons and parents of every group."""
    how = {**dict.fromkeys(COUNTED, "sum"), "reason": "min", **dict.fromkeys(PARENTS[level], "min")}
    how |= {f"term_{number}": "max" if rule == "max" else "sum" for number in numbers}
    found: pa.Table | None = None
    for table in predictions:
        part = _merged(_terms(table, level, rule, numbers), how)
        found = part if found is None else _merged(pa.concat_tables([found, part]), how)
    assert found is not None, "a finished table has at least one file"
    return found.sort_by([(name, "ascending") for name in GROUP])


def _merged(table: pa.Table, how: dict[str, str]) -> pa.Table:
    """Rows of the same group as one; each column's `how` may be applied again to what came of it."""
    grouped = table.group_by(GROUP, use_threads=False).aggregate(list(how.items()))  # in order: sums are the same again
    return grouped.select([*GROUP, *(f"{name}_{way}" for name, way in how.items())]).rename_columns([*GROUP, *how])


def _terms(table: pa.Table, level: AggregateLevel, rule: Rule, numbers: list[int]) -> pa.Table:
    """A row a sample: its group, what it counts as, and what it adds."""
    name = f"{level}_key"
    keyed = pc.is_valid(table[name])
    ok, failed = (pc.equal(table["status"], status) for status in ("ok", "failed"))
    columns = {
        "group_key": pc.coalesce(table[name], table["object_id"], table["sample_id"]),
        "keyed_by": pc.if_else(keyed, name, pc.if_else(pc.is_valid(table["object_id"]), "object_id", "sample_id")),
        "samples": pa.array(np.ones(table.num_rows, np.int64)),
        "ok": ok.cast(pa.int64()),
        "failed": failed.cast(pa.int64()),
        "reason": table["reason"],
        **{parent: table[parent] for parent in PARENTS[level]},
    }
    for number in numbers:
        chance = pc.list_element(table["probabilities"], number).cast(pa.float64())
        columns[f"term_{number}"] = pc.log1p(pc.negate(chance)) if rule == "noisy_or" else chance
    return pa.table(columns)


def _combined(terms: Terms, ok: np.ndarray, rule: Rule, finding: bool) -> Terms:
    """Probabilities (groups, classes)."""
    if finding:
        yes = -np.expm1(terms) if rule == "noisy_or" else terms
        return np.concatenate([1 - yes, yes], axis=1)
    whole: np.ndarray = ok[:, None] if rule == "mean" else terms.sum(axis=1, keepdims=True)
    shares: np.ndarray = terms / whole
    return shares


def _rows(
    groups: pa.Table, answers: dict[str, pa.Array], good: Bool[np.ndarray, " groups"], level: str, facts: dict[str, str]
) -> pa.Table:
    count = groups.num_rows
    own = pc.if_else(pc.equal(groups["keyed_by"], f"{level}_key"), groups["group_key"], None)
    nothing = pa.nulls(count, pa.string())
    columns = {name: groups[name] for name in groups.column_names if name in AGGREGATES.names}
    columns[f"{level}_key"] = own
    columns |= {"status": pa.array(np.where(good, "ok", "failed")), **answers}
    columns["reason"] = pc.if_else(pa.array(good), None, groups["reason"])
    columns |= {name: pa.array([value] * count, pa.string()) for name, value in facts.items()}
    return pa.table({name: columns.get(name, nothing) for name in AGGREGATES.names}).cast(AGGREGATES)
