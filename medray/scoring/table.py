"""Prepared samples of a unit to rows of the predictions table."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool
from torch import nn

from medray.samples.collate import batches
from medray.samples.tables import usable
from medray.schema import KEYS, PREDICTIONS
from medray.scoring.mean import mean_predictions
from medray.scoring.provenance import code_version, setup_id, setup_of
from medray.scoring.score import Predictions, predict
from medray.settings import ScoreSettings
from medray.training.bundle import Bundle
from medray.training.task import Classify

FROM_INDEX = [
    "object_id", *(key.name for key in KEYS), "uri", "member", "modality", "manufacturer", "patient_sex", "etag"
]  # fmt: skip


def score_samples(
    views: Sequence[pa.Table],
    rows: pa.Table,
    bundle: Bundle,
    model: nn.Module,
    *,
    unit_id: str,
    settings: ScoreSettings,
) -> pa.Table:
    """Classify the samples that are ok, and give every sample a row.

    Args:
        views: from `prepare_unit`, or the same samples flipped in several ways: the answer is the mean over them.
        rows: the unit's rows of the index, which `samples["row"]` counts.
        bundle: classes, threshold, recipe.
        model: the bundle's model, on its device.
        unit_id: of the unit.
        settings: samples in one forward pass.

    Returns:
        `schema.PREDICTIONS`, in the samples' order.
    """
    task = Classify(bundle.classes, threshold=bundle.threshold)
    device = next(model.parameters()).device
    answers = [
        predict(model, batches(usable(samples), bundle.recipe, settings.samples_a_pass), task, device=device)
        for samples in views
    ]
    columns = with_setup(answer_columns(mean_predictions(answers, task), bundle.classes), settings, device)
    return with_every_sample(columns, views[0], rows, bundle, unit_id=unit_id, schema=PREDICTIONS)


def with_every_sample(
    answers: pa.Table, samples: pa.Table, rows: pa.Table, bundle: Bundle, *, unit_id: str, schema: pa.Schema
) -> pa.Table:
    """Answers to the samples that are ok, spread over all samples, with what is known of each; rows of a schema."""
    table = samples.select(["sample_id", "frame", "status", "reason", "detail", "decoder", "flags"])
    indexed = rows.select(FROM_INDEX).take(samples["row"])
    for name in FROM_INDEX:
        table = table.append_column(name, indexed[name])
    answered = answers.take(positions_of(pc.equal(samples["status"], "ok").to_numpy().astype(bool)))
    for name in answered.column_names:
        table = table.append_column(name, answered[name])
    made_by = {"recipe_id": bundle.recipe.id(), "model_id": bundle.model_id, "code": code_version(), "unit_id": unit_id}
    for name, value in made_by.items():
        table = table.append_column(name, pa.array([value] * samples.num_rows, pa.string()))
    return table.select(schema.names).cast(schema)


def with_setup(answers: pa.Table, settings: ScoreSettings, device: torch.device) -> pa.Table:
    """Answers and what decides their last bits."""
    setup = setup_id(setup_of(settings.samples_a_pass, device.type, settings.decode))
    return answers.append_column("setup", pa.array([setup] * answers.num_rows, pa.string()))


def positions_of(ok: Bool[np.ndarray, " samples"]) -> pa.Array:
    """For each sample its place among the ok ones, null where it is not ok."""
    return pa.array(np.cumsum(ok) - 1, pa.int64(), mask=~ok)


def answer_columns(answers: Predictions, classes: tuple[str, ...]) -> pa.Table:
    """Answers as the columns `logits`, `probabilities` and `label`."""

    def lists(values: np.ndarray) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), len(classes)).cast(pa.list_(pa.float32()))

    labels = pa.array([classes[number] for number in answers.labels], pa.string())
    return pa.table({"logits": lists(answers.logits), "probabilities": lists(answers.probabilities), "label": labels})
