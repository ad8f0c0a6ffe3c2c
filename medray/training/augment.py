"""Mirror images left-right, or the region graphs made from them. Randomness is drawn first and applied second."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from medray.samples.batch import Batch
from medray.training.seeding import derive_seed


@dataclass(frozen=True)
class MirroredColumns:
    """Columns of a graph's features that change their sign in the mirror.

    Attributes:
        nodes: columns of `x`: the region's column, measured from the image's centre.
        edges: columns of `edge_attr`: the difference of columns between the two regions.
    """

    nodes: tuple[int, ...] = ()
    edges: tuple[int, ...] = ()


def draw_flips(seed: int, epoch: int, sample_ids: Sequence[str]) -> Bool[Tensor, " batch"]:
    """A fair coin a sample. It depends on the sample, not on its place in the batch or its worker."""
    return torch.tensor([derive_seed(seed, epoch, "flip", name) % 2 == 1 for name in sample_ids], dtype=torch.bool)


def flip_images(
    images: Float[Tensor, "batch channels rows columns"], flips: Bool[Tensor, " batch"]
) -> Float[Tensor, "batch channels rows columns"]:
    """Mirror the chosen images left-right."""
    return torch.where(flips[:, None, None, None], images.flip(3), images)


def negate_columns(
    values: Float[Tensor, "rows features"], columns: tuple[int, ...], rows: Bool[Tensor, " rows"]
) -> Float[Tensor, "rows features"]:
    """Change the sign of some columns in the chosen rows."""
    sign = torch.ones_like(values)
    sign[:, list(columns)] = 1 - 2 * rows.to(values.dtype)[:, None]
    return values * sign


def _flip_graphs(batch: Batch, flips: Bool[Tensor, " batch"], mirrored: MirroredColumns) -> Batch:
    tensors = {name: value for name, value in batch.inputs.items() if isinstance(value, Tensor)}
    node_graph: Int64[Tensor, " nodes"] = tensors["batch"]
    node_flips = flips[node_graph]
    x = negate_columns(tensors["x"], mirrored.nodes, node_flips)
    edge_attr = negate_columns(tensors["edge_attr"], mirrored.edges, node_flips[tensors["edge_index"][0]])
    return replace(batch, inputs={**batch.inputs, "x": x, "edge_attr": edge_attr})


def flip_batch(batch: Batch, flips: Bool[Tensor, " batch"], mirrored: MirroredColumns | None = None) -> Batch:
    """Mirror the chosen samples of a batch.

    Args:
        batch: images or graphs.
        flips: from `draw_flips`, on the batch's device.
        mirrored: what changes its sign in graphs; images do not read it.
    """
    if "image" not in batch.inputs:
        return _flip_graphs(batch, flips, mirrored or MirroredColumns())
    images = batch.inputs["image"]
    assert isinstance(images, Tensor)
    return replace(batch, inputs={**batch.inputs, "image": flip_images(images, flips)})
