"""Sums, means and maxima over the rows that belong together: nodes of a graph, edges of a node."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def segment_sum(
    values: Float[Tensor, "rows features"], index: Int64[Tensor, " rows"], count: int
) -> Float[Tensor, "segments features"]:
    """Sum of the rows of each segment; zero for a segment without rows."""
    return values.new_zeros(count, values.shape[1]).index_add(0, index, values)


def segment_mean(
    values: Float[Tensor, "rows features"], index: Int64[Tensor, " rows"], count: int
) -> Float[Tensor, "segments features"]:
    """Mean of the rows of each segment; zero for a segment without rows."""
    rows = torch.bincount(index, minlength=count).clamp(min=1).to(values.dtype)
    return segment_sum(values, index, count) / rows[:, None]


def segment_max(
    values: Float[Tensor, "rows features"], index: Int64[Tensor, " rows"], count: int
) -> Float[Tensor, "segments features"]:
    """Maximum of the rows of each segment; zero for a segment without rows."""
    empty = values.new_zeros(count, values.shape[1])
    return empty.scatter_reduce(0, index[:, None].expand_as(values), values, "amax", include_self=False)


def mean_and_max(
    values: Float[Tensor, "rows features"], index: Int64[Tensor, " rows"], count: int
) -> Float[Tensor, "segments doubled"]:
    """Mean and maximum of each segment, side by side: the readout of graphs."""
    return torch.cat([segment_mean(values, index, count), segment_max(values, index, count)], dim=1)
