"""Rows of prepared samples to the tensors of one batch."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch

from medray.graphs.features import edge_feature_names
from medray.samples.batch import Batch
from medray.samples.tables import image_batch
from medray.settings import Recipe


def collate(samples: pa.Table, recipe: Recipe) -> Batch:
    """One batch out of rows that are all ok.

    Args:
        samples: prepared images, graphs, or both; a column `label_number` (int64) becomes the labels.
        recipe: the one that prepared them.
    """
    labels = None
    if "label_number" in samples.column_names:
        labels = torch.from_numpy(samples["label_number"].to_numpy().astype(np.int64))
    inputs: dict[str, torch.Tensor | int] = {}
    if "image" in samples.column_names:
        inputs |= _image_inputs(samples, recipe)
    if "edge_index" in samples.column_names:
        inputs |= graph_inputs(samples, recipe)
    return Batch(inputs, labels, samples["sample_id"].to_pylist())


def _image_inputs(samples: pa.Table, recipe: Recipe) -> dict[str, torch.Tensor | int]:
    images = image_batch(samples, recipe)
    return {"image": torch.from_numpy(images if images.flags.writeable else images.copy())}


def graph_inputs(samples: pa.Table, recipe: Recipe) -> dict[str, torch.Tensor | int]:
    """Region graphs of `graph_table` as keyword arguments of a graph model."""
    from medray.graphs.arrow import collate_arrow  # its kernels take a second to load, and images need none

    arrays = collate_arrow(samples, edge_feature_names(recipe.graph))
    tensors = {name: torch.from_numpy(arrays[name]) for name in ("x", "edge_index", "edge_attr", "batch")}
    inputs = {**tensors, "num_graphs": samples.num_rows}
    if "regions" in samples.column_names:
        labels = samples["regions"].combine_chunks().flatten().to_numpy().reshape(-1, recipe.size, recipe.size)
        inputs["regions"] = torch.from_numpy(labels + arrays["ptr"][:-1, None, None])
    return inputs


def batches(samples: pa.Table, recipe: Recipe, batch_size: int) -> Iterator[Batch]:
    """All rows, in order, in batches of at most `batch_size`."""
    for start in range(0, samples.num_rows, batch_size):
        yield collate(samples.slice(start, batch_size), recipe)
