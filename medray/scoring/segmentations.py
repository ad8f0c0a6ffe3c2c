"""Prepared samples of a unit to rows of the table of segmentations: a mask on each frame's own rows and columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int16
from torch import nn

from medray.graphs.node_targets import paint_classes, paint_nodes
from medray.pixels.placement import Placement
from medray.pixels.run_lengths import decode_runs, encode_runs
from medray.samples.collate import batches
from medray.samples.tables import usable
from medray.schema import SEGMENTATIONS
from medray.scoring.score import predict
from medray.scoring.table import with_every_sample, with_setup
from medray.settings import ScoreSettings
from medray.training.bundle import Bundle
from medray.training.task import Segment


@dataclass(frozen=True)
class Painted:
    """A model's answer to one sample, on the pixels of its input.

    Attributes:
        classes: the class number of each pixel.
        probabilities: of each class.
    """

    classes: Int16[np.ndarray, "size size"]
    probabilities: Float[np.ndarray, "size size classes"]


def segment_samples(
    samples: pa.Table, rows: pa.Table, bundle: Bundle, model: nn.Module, *, unit_id: str, settings: ScoreSettings
) -> pa.Table:
    """Segment the samples that are ok, and give every sample a row.

    Args:
        samples: from `prepare_unit`, of the bundle's `prepared_kind`.
        rows: the unit's rows of the index, which `samples["row"]` counts.
        bundle: classes, recipe.
        model: the bundle's model, on its device.
        unit_id: of the unit.
        settings: samples in one forward pass, and whether probabilities are stored.

    Returns:
        `schema.SEGMENTATIONS`, in the samples' order.
    """
    good = usable(samples)
    pairs = zip(
        good["placement"].to_pylist(), paint(good, bundle, model, settings.samples_a_pass(bundle.recipe)), strict=True
    )
    answers = [_row(Placement.of(numbers), painted, len(bundle.classes), settings) for numbers, painted in pairs]
    names = ("rows", "columns", "run_classes", "run_lengths", "area_fractions", "placement", "probabilities")
    schema = pa.schema([SEGMENTATIONS.field(name) for name in names])
    columns = {name: pa.array([answer[name] for answer in answers], schema.field(name).type) for name in names}
    table = with_setup(pa.table(columns, schema=schema), bundle, settings, next(model.parameters()).device)
    return with_every_sample(table, samples, rows, bundle, unit_id=unit_id, schema=SEGMENTATIONS)


def paint(samples: pa.Table, bundle: Bundle, model: nn.Module, batch_size: int) -> list[Painted]:
    """The answers of the nodes of samples that are all ok, painted on their regions."""
    unread = ["image", "regions"] if bundle.input_kind == "graph" else []
    device = next(model.parameters()).device
    given = batches(samples.drop_columns(unread), bundle.recipe, batch_size)
    answers = predict(model, given, Segment(bundle.classes), device=device)
    ends = np.cumsum(samples["num_nodes"].to_numpy())[:-1]
    side = bundle.recipe.size
    maps = samples["regions"].combine_chunks().flatten().to_numpy().reshape(-1, side, side)
    found = []
    chances = np.split(answers.probabilities, ends)
    for labels, chance, answer in zip(maps, chances, np.split(answers.labels, ends), strict=True):
        found.append(Painted(paint_classes(labels, answer.astype(np.int32)), paint_nodes(labels, chance)))
    return found


def _row(placement: Placement, painted: Painted, classes: int, settings: ScoreSettings) -> dict[str, Any]:
    mask = placement.to_frame(painted.classes)
    run_classes, run_lengths = encode_runs(mask)
    seen = mask[mask >= 0]
    chances = np.moveaxis(painted.probabilities, 2, 0).astype(np.float16).ravel() if settings.probabilities else None
    return {
        "rows": placement.frame[0],
        "columns": placement.frame[1],
        "run_classes": run_classes,
        "run_lengths": run_lengths,
        "area_fractions": np.bincount(seen, minlength=classes) / max(seen.size, 1),
        "placement": placement.numbers(),
        "probabilities": chances,
    }


def mask_of(row: dict[str, Any]) -> Int16[np.ndarray, "rows columns"]:
    """The mask of a row of the table: class numbers, -1 where the model saw nothing."""
    return decode_runs(row["run_classes"], row["run_lengths"], row["rows"], row["columns"])


def probabilities_of(
    row: dict[str, Any], stored: Float[np.ndarray, " values"] | None, classes: int
) -> Float[np.ndarray, "classes rows columns"] | None:
    """Probabilities at the frame's own pixels, NaN where the model saw nothing.

    Args:
        row: with `placement`.
        stored: the row's `probabilities`; none = none.
        classes: how many there are.
    """
    if stored is None:
        return None
    placement = Placement.of(row["placement"])
    planes = stored.astype(np.float32).reshape(classes, placement.size, placement.size)
    return np.stack([placement.to_frame(plane, np.nan) for plane in planes])
