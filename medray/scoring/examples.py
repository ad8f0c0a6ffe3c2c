"""Samples worth looking at, read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32, Int32

from medray.archive.reading import read_instance, read_object
from medray.graphs.build import superpixel_labels
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.samples.batch import Inputs
from medray.samples.collate import collate
from medray.samples.tables import flat_lists, to_graphs
from medray.scoring.explain import Heat, enlarge, paint
from medray.settings import Recipe
from medray.training.bundle import Bundle

HEAT_METHODS = {
    "image": {"cam": "LayerCAM", "integrated_gradients": "integrated gradients", "occlusion": "occlusion of patches"},
    "graph": {"cam": "node-CAM", "integrated_gradients": "integrated gradients", "occlusion": "occlusion of nodes"},
    "regions": {"cam": "node-CAM", "integrated_gradients": "integrated gradients", "occlusion": "occlusion of regions"},
}
"""Methods of `explain` in words."""


def choose_examples(
    probabilities: Float32[np.ndarray, "samples classes"],
    predicted: Sequence[int],
    truth: Sequence[int] | None,
    *,
    count: int = 12,
) -> list[tuple[int, str]]:
    """Rows to show, and why: the surest right and wrong answers of each class, then the least sure ones.

    Args:
        probabilities: of the samples.
        predicted: class numbers.
        truth: class numbers; none = no labels.
        count: rows wanted.

    Returns:
        (row, reason in words), no row twice.
    """
    answers = np.asarray(predicted)
    sureness = probabilities[np.arange(len(answers)), answers]
    right = np.ones(len(answers), bool) if truth is None else answers == np.asarray(truth)
    surest, least_sure = np.argsort(-sureness, kind="stable"), np.argsort(sureness, kind="stable")
    kinds = ("surest",) if truth is None else ("surest right answer", "surest wrong answer")
    groups: list[tuple[str, list[int]]] = []
    for number in range(probabilities.shape[1]):
        for kind, wanted in zip(kinds, (True, False), strict=False):
            groups.append((kind, [int(row) for row in surest if answers[row] == number and right[row] == wanted]))
    groups.append(("least sure", [int(row) for row in least_sure]))
    return _in_turn(groups, count)


def _in_turn(groups: list[tuple[str, list[int]]], count: int) -> list[tuple[int, str]]:
    chosen: dict[int, str] = {}
    depth = 0
    while len(chosen) < count and any(len(rows) > depth for _, rows in groups):
        for kind, rows in groups:
            if depth < len(rows) and len(chosen) < count:
                chosen.setdefault(rows[depth], kind)
        depth += 1
    return list(chosen.items())


@dataclass(frozen=True)
class Shown:
    """A sample that was read again.

    Attributes:
        image: the prepared image.
        inputs: of the model, as in `Batch.inputs`.
        label_map: the node of each pixel; none for image models.
    """

    image: Float32[np.ndarray, "channels rows columns"]
    inputs: Inputs
    label_map: Int32[np.ndarray, "rows columns"] | None

    def painted(self, heat: Heat) -> Float32[np.ndarray, "rows columns"]:
        """Heat of `explain` at each pixel."""
        return enlarge(heat, self.image.shape[1:]) if self.label_map is None else paint(self.label_map, heat)


def prepared_again(row: dict[str, Any], key: bytes, recipe: Recipe) -> Float32[np.ndarray, "channels rows columns"]:
    """Read one sample and prepare its image.

    Args:
        row: of the index, with `frame` beside.
        key: unseals the object's name.
        recipe: of the bundle.

    Raises:
        SampleError: the object cannot be read or decoded any more.
    """
    instance = read_instance(read_object(row, key), row["format"])
    return prepare_image(frame_values(instance, row["frame"], pet=recipe.pet), instance.pixels, recipe)


def read_again(row: dict[str, Any], key: bytes, bundle: Bundle) -> Shown:
    """Read one sample and make the input that the model had.

    Args:
        row: of the index, with `frame` beside.
        key: unseals the object's name.
        bundle: its recipe makes the input.

    Raises:
        SampleError: the object cannot be read or decoded any more.
    """
    image = prepared_again(row, key, bundle.recipe)
    if bundle.input_kind == "image":
        return Shown(image, {"image": torch.from_numpy(image)[None]}, None)
    table = pa.table({"sample_id": ["one"], "status": ["ok"], "image": flat_lists([image.ravel()])})
    inputs = collate(to_graphs(table, bundle.recipe, bundle.input_kind), bundle.recipe).inputs
    return Shown(image, inputs, superpixel_labels(image, bundle.recipe.graph))
