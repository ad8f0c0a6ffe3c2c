"""Samples worth looking at, and the heat maps of the model that scored them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float32
from torch import nn

from medray.archive.reading import read_instance, read_object
from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.samples.collate import collate
from medray.scoring.explain import layer_cam, node_cam, paint
from medray.training.bundle import Bundle

HEAT_METHODS = {"image": "LayerCAM", "graph": "node scores on superpixels (node-CAM)"}


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


def explained(
    row: dict[str, Any], key: bytes, bundle: Bundle, model: nn.Module, *, class_number: int
) -> tuple[Float32[np.ndarray, "rows columns"], Float32[np.ndarray, "rows columns"]]:
    """Read a sample again and explain its answer.

    Args:
        row: of the index, with `frame` beside.
        key: unseals the object's name.
        bundle: its recipe makes the input.
        model: the bundle's, in evaluation mode.
        class_number: the class to explain.

    Returns:
        The prepared image's first channel, and heat from 0 to 1 of the same size.

    Raises:
        SampleError: the object cannot be read or decoded any more.
    """
    instance = read_instance(read_object(row, key), row["format"])
    values = frame_values(instance, row["frame"], pet=bundle.recipe.pet)
    image = prepare_image(values, instance.pixels, bundle.recipe)
    if bundle.input_kind == "image":
        return image[0], layer_cam(model, torch.from_numpy(image), class_number)  # type: ignore[arg-type]
    graph = build_region_graph(image, bundle.recipe.graph)
    table = graphs_to_arrow([graph]).append_column("sample_id", pa.array(["one"]))
    scores = node_cam(model, collate(table, bundle.recipe).inputs, class_number)  # type: ignore[arg-type]
    return image[0], paint(superpixel_labels(image, bundle.recipe.graph), scores)
