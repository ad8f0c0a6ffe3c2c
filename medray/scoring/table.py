"""Prepared samples of a unit to rows of the predictions table."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Bool
from torch import nn

from medray.samples.collate import batches
from medray.samples.frame_sets import COUNTS, FRAMES, KEYED_BY, SAMPLE_KEY
from medray.samples.tables import usable
from medray.schema import FRAME_SETS, KEYS, PREDICTIONS
from medray.scoring.frame_sets import shared_values, with_frame_columns
from medray.scoring.mean import mean_predictions
from medray.scoring.provenance import code_version, setup_id, setup_of
from medray.scoring.score import Predictions, predict
from medray.settings import ScoreSettings
from medray.training.bundle import Bundle
from medray.training.task import Classify

FROM_INDEX = [
    "object_id", *(key.name for key in KEYS), "uri", "member", "modality", "manufacturer", "patient_sex", "etag"
]  # fmt: skip


FROM_SAMPLES = ["sample_id", "frame", "status", "reason", "detail", "decoder", "flags", KEYED_BY, *COUNTS]


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
        `schema.PREDICTIONS`, or FRAME_SETS where samples have several frames (each then goes through the model by
        itself), in the samples' order.
    """
    task = Classify(bundle.classes, threshold=bundle.threshold)
    device = next(model.parameters()).device
    together = settings.samples_a_pass(bundle.recipe)
    answers = [
        predict(model, batches(usable(samples), bundle.recipe, together), task, device=device) for samples in views
    ]
    columns = with_setup(answer_columns(mean_predictions(answers, task), bundle.classes), bundle, settings, device)
    if FRAMES in views[0].column_names:
        weights = answers[0].weights if len(answers) == 1 else []
        columns = with_frame_columns(columns, usable(views[0]), weights)
        shared = shared_values(rows.select([SAMPLE_KEY, *FROM_INDEX]))
        return with_every_sample(columns, views[0], shared, bundle, unit_id=unit_id, schema=FRAME_SETS)
    return with_every_sample(columns, views[0], rows, bundle, unit_id=unit_id, schema=PREDICTIONS)


def with_every_sample(
    answers: pa.Table, samples: pa.Table, rows: pa.Table, bundle: Bundle, *, unit_id: str, schema: pa.Schema
) -> pa.Table:
    """Answers to the samples that are ok, spread over all samples, with what is known of each; rows of a schema."""
    table = samples.select([name for name in FROM_SAMPLES if name in samples.column_names])
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


def with_setup(answers: pa.Table, bundle: Bundle, settings: ScoreSettings, device: torch.device) -> pa.Table:
    """Answers and what decides their last bits."""
    setup = setup_id(setup_of(settings.samples_a_pass(bundle.recipe), device.type, settings.decode))
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
