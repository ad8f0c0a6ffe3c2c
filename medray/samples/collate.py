"""Rows of prepared samples to the tensors of one batch."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from medray.graphs.features import edge_feature_names
from medray.samples.batch import Batch
from medray.samples.frame_sets import FRAMES, frame_counts, frames_of
from medray.samples.tables import image_batch, mask_batch
from medray.settings import Recipe

GRAPH_TENSORS = ("x", "edge_index", "edge_attr", "batch")
"""What graph models take, beside `num_graphs`."""


def collate(samples: pa.Table, recipe: Recipe) -> Batch:
    """One batch out of rows that are all ok.

    Args:
        samples: prepared images, graphs, or both, or samples with a list of such; a column `class_counts`, `mask` or
            `label_number` (the first that there is) becomes the labels.
        recipe: the one that prepared them.
    """
    if FRAMES in samples.column_names:
        return _of_frames(samples, recipe)
    inputs: dict[str, torch.Tensor | int] = {}
    if "image" in samples.column_names:
        inputs |= _image_inputs(samples, recipe)
    if "edge_index" in samples.column_names:
        inputs |= graph_inputs(samples, recipe)
    return Batch(inputs, labels_of(samples, recipe), samples["sample_id"].to_pylist())


def _of_frames(samples: pa.Table, recipe: Recipe) -> Batch:
    """The frames of all samples as one batch of inputs, and the sample that each belongs to."""
    inputs = collate(frames_of(samples), recipe).inputs
    owner = np.repeat(np.arange(samples.num_rows), frame_counts(samples))
    inputs |= {"sample": torch.from_numpy(owner), "num_samples": samples.num_rows}
    return Batch(inputs, labels_of(samples, recipe), samples["sample_id"].to_pylist())


def labels_of(samples: pa.Table, recipe: Recipe) -> torch.Tensor | None:
    """What the model should answer to rows that are all ok, as `Batch.labels` says; None where no column tells."""
    names = samples.column_names
    if "class_counts" in names:
        counts = samples["class_counts"].combine_chunks().flatten().to_numpy().astype(np.int64)
        nodes = int(pc.sum(samples["num_nodes"]).as_py())
        return torch.from_numpy(counts.reshape(nodes, -1))
    if (masks := mask_batch(samples, recipe)) is not None:
        return torch.from_numpy(masks.astype(np.int64))
    return torch.from_numpy(samples["label_number"].to_numpy().astype(np.int64)) if "label_number" in names else None


def _image_inputs(samples: pa.Table, recipe: Recipe) -> dict[str, torch.Tensor | int]:
    images = image_batch(samples, recipe)
    return {"image": torch.from_numpy(images if images.flags.writeable else images.copy())}


def graph_inputs(samples: pa.Table, recipe: Recipe) -> dict[str, torch.Tensor | int]:
    """Region graphs of `graph_table` as keyword arguments of a graph model."""
    from medray.graphs.arrow import collate_arrow  # its kernels take a second to load, and images need none

    arrays = collate_arrow(samples, edge_feature_names(recipe.graph))
    tensors = {name: torch.from_numpy(arrays[name]) for name in GRAPH_TENSORS}
    inputs = {**tensors, "num_graphs": samples.num_rows}
    if "regions" in samples.column_names:
        labels = samples["regions"].combine_chunks().flatten().to_numpy().reshape(-1, recipe.size, recipe.size)
        inputs["regions"] = torch.from_numpy(labels + arrays["ptr"][:-1, None, None])
    return inputs


def batches(samples: pa.Table, recipe: Recipe, batch_size: int) -> Iterator[Batch]:
    """All rows, in order, in batches of at most `batch_size`."""
    for start in range(0, samples.num_rows, batch_size):
        yield collate(samples.slice(start, batch_size), recipe)
