"""Prepared samples of a unit to rows of the explanations table."""

from typing import Any

import pyarrow as pa
from torch import nn

from medray import stages
from medray.samples.collate import collate
from medray.schema import EXPLANATIONS, OUTCOME
from medray.scoring.explain import explain, to_levels
from medray.scoring.provenance import code_version
from medray.training.bundle import Bundle


def chosen_samples(samples: pa.Table, rows: pa.Table) -> pa.Table:
    """The samples of a unit that are to be explained, in the order of its rows.

    Args:
        samples: of the unit, prepared.
        rows: the unit's, from `rows_to_explain`.

    Returns:
        As many rows as `rows` has chosen frames: where an object cannot be read any more, its one row stands for each.
    """
    place = {key: k for k, key in enumerate(zip(*(samples[c].to_pylist() for c in ("row", "frame")), strict=True))}
    wanted = [(row, frame) for row, frames in enumerate(rows["chosen_frames"].to_pylist()) for frame in frames]
    ids = rows["object_id"].to_pylist()
    named = {
        "sample_id": pa.array([f"{ids[row]}:{frame}" for row, frame in wanted], pa.string()),
        "frame": pa.array([frame for _, frame in wanted], pa.int32()),
    }
    found = samples.take(pa.array([place.get(key, place.get((key[0], None))) for key in wanted], pa.int64()))
    for name, values in named.items():
        found = found.set_column(found.column_names.index(name), name, values)
    return found


def explain_samples(
    samples: pa.Table, rows: pa.Table, bundle: Bundle, model: nn.Module, *, method: str, unit_id: str
) -> pa.Table:
    """A row for each chosen sample, explained where it can still be read.

    Args:
        samples: from `chosen_samples`, some or all of them, as the bundle's model reads them.
        rows: the unit's, from `rows_to_explain`.
        bundle: that scored it.
        model: the bundle's, on its device.
        method: of `explain`.
        unit_id: of the unit.

    Returns:
        `schema.EXPLANATIONS`.
    """
    facts = {
        "method": method,
        "recipe_id": bundle.recipe.id(),
        "model_id": bundle.model_id,
        "code": code_version(),
        "unit_id": unit_id,
    }
    records = rows.select(["object_id", "chosen_frames", "chosen_labels"]).to_pylist()
    explained = []
    for number, (row, frame) in enumerate(zip(samples["row"].to_pylist(), samples["frame"].to_pylist(), strict=True)):
        record = records[row]
        label = dict(zip(record["chosen_frames"], record["chosen_labels"], strict=True))[frame]
        known = {"object_id": record["object_id"], "frame": frame, "label": label, **facts}
        explained.append(known | _heat(samples.slice(number, 1), bundle, model, known))
    return pa.Table.from_pylist(explained, schema=EXPLANATIONS)


def _heat(sample: pa.Table, bundle: Bundle, model: nn.Module, known: dict[str, Any]) -> dict[str, Any]:
    (outcome,) = sample.select(["sample_id", *(field.name for field in OUTCOME)]).to_pylist()
    if outcome["status"] != "ok":
        return {**outcome, "shape": None, "heat": None}
    stages.reach("forward", outcome["sample_id"])
    batch = collate(sample, bundle.recipe).to(next(model.parameters()).device)
    levels = to_levels(explain(model, batch.inputs, known["method"], bundle.classes.index(known["label"])))
    return {**outcome, "shape": list(levels.shape), "heat": levels.ravel()}
