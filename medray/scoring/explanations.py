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


def explain_samples(
    samples: pa.Table, rows: pa.Table, bundle: Bundle, model: nn.Module, *, method: str, unit_id: str
) -> pa.Table:
    """A row for each chosen frame of a unit, explained where it can still be read.

    Args:
        samples: from `prepare_unit`.
        rows: the unit's, from `rows_to_explain`.
        bundle: that scored it.
        model: the bundle's, on its device.
        method: of `explain`.
        unit_id: of the unit.

    Returns:
        `schema.EXPLANATIONS`.
    """
    place = {key: k for k, key in enumerate(zip(*(samples[c].to_pylist() for c in ("row", "frame")), strict=True))}
    facts = {
        "method": method,
        "recipe_id": bundle.recipe.id(),
        "model_id": bundle.model_id,
        "code": code_version(),
        "unit_id": unit_id,
    }
    explained = []
    for row, record in enumerate(rows.select(["object_id", "chosen_frames", "chosen_labels"]).to_pylist()):
        for frame, label in zip(record["chosen_frames"], record["chosen_labels"], strict=True):
            known = {"object_id": record["object_id"], "frame": frame, "label": label, **facts}
            sample = samples.slice(place.get((row, frame), place.get((row, None))), 1)
            explained.append(known | _heat(sample, bundle, model, known))
    return pa.Table.from_pylist(explained, schema=EXPLANATIONS)


def _heat(sample: pa.Table, bundle: Bundle, model: nn.Module, known: dict[str, Any]) -> dict[str, Any]:
    (outcome,) = sample.select([field.name for field in OUTCOME]).to_pylist()
    outcome["sample_id"] = f"{known['object_id']}:{known['frame']}"
    if outcome["status"] != "ok":
        return {**outcome, "shape": None, "heat": None}
    stages.reach("forward", outcome["sample_id"])
    batch = collate(sample, bundle.recipe).to(next(model.parameters()).device)
    levels = to_levels(explain(model, batch.inputs, known["method"], bundle.classes.index(known["label"])))
    return {**outcome, "shape": list(levels.shape), "heat": levels.ravel()}
