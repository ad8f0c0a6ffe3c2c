"""Sums, means and maxima over rows that stand together: nodes of a graph, edges of a node. And their way back.

The rows of a segment stand one behind the other, so a sum is one sweep without a row for each edge in between
(`embedding_bag`), and what comes back needs no sorting and no atomic addition. Against `index_add`, `scatter_add`,
`segment_reduce` and CSR products this was the fastest of all on the CPU; `scatter_reduce` is the fastest maximum
forward, and its own gradient the slowest, so that is ours.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional


class Segments(NamedTuple):
    """Which rows stand together.

    Attributes:
        ids: (rows,) the segment of each row, ascending.
        starts: (segments + 1,) the first row of each segment, and the number of rows.
    """

    ids: Tensor
    starts: Tensor

    @property
    def number(self) -> int:
        """How many segments."""
        return self.starts.shape[0] - 1

    @property
    def sizes(self) -> Int64[Tensor, " segments"]:
        """Rows of each segment."""
        return self.starts.diff()


def segments_of(index: Int64[Tensor, " rows"], count: int) -> Segments:
    """The segments of an index that ascends."""
    sizes = torch.zeros(count, dtype=torch.int64, device=index.device).index_add(0, index, torch.ones_like(index))
    return Segments(index, functional.pad(sizes.cumsum(0), (1, 0)))


def bag_sum(
    values: Float[Tensor, "rows features"],
    rows: Int64[Tensor, " picked"],
    starts: Int64[Tensor, " ends"],
    weights: Float[Tensor, " picked"] | None = None,
) -> Float[Tensor, "segments features"]:
    """Sum of values[rows[starts[k] : starts[k + 1]]], weighed or not, for each k; it has no gradient."""
    return functional.embedding_bag(
        rows, values, starts, mode="sum", include_last_offset=True, per_sample_weights=weights
    )


class _SegmentSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return bag_sum(values, torch.arange(values.shape[0], device=values.device), starts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0].index_select(0, ctx.saved_tensors[0]), None, None


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, starts: Tensor) -> Tensor:
        ctx.save_for_backward(index, starts)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        index, starts = ctx.saved_tensors
        return bag_sum(gradients[0], torch.arange(index.shape[0], device=index.device), starts), None, None


class _SegmentMax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, starts: Tensor) -> Tensor:
        empty = values.new_zeros(starts.shape[0] - 1, values.shape[1])
        highest = empty.scatter_reduce(0, index[:, None].expand_as(values), values, "amax", include_self=False)
        ctx.save_for_backward(values, index, starts, highest)
        return highest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        values, index, starts, highest = ctx.saved_tensors
        reached = (values == highest.index_select(0, index)).to(values.dtype)
        rows = torch.arange(index.shape[0], device=index.device)
        share = gradients[0] / bag_sum(reached, rows, starts).clamp(min=1)
        return reached.mul_(share.index_select(0, index)), None, None


def segment_sum(values: Float[Tensor, "rows features"], segments: Segments) -> Float[Tensor, "segments features"]:
    """Sum of the rows of each segment; zero for a segment without rows."""
    total: Tensor = _SegmentSum.apply(values, *segments)
    return total


def spread(values: Float[Tensor, "segments features"], segments: Segments) -> Float[Tensor, "rows features"]:
    """What belongs to a segment, at each of its rows."""
    rows: Tensor = _Spread.apply(values, *segments)
    return rows


def segment_mean(values: Float[Tensor, "rows features"], segments: Segments) -> Float[Tensor, "segments features"]:
    """Mean of the rows of each segment; zero for a segment without rows."""
    return segment_sum(values, segments) / segments.sizes.clamp(min=1)[:, None]


def segment_max(values: Float[Tensor, "rows features"], segments: Segments) -> Float[Tensor, "segments features"]:
    """Maximum of the rows of each segment; zero for a segment without rows. Equal rows share its gradient."""
    highest: Tensor = _SegmentMax.apply(values, *segments)
    return highest


def mean_and_max(values: Float[Tensor, "rows features"], segments: Segments) -> Float[Tensor, "segments doubled"]:
    """Mean and maximum of each segment, side by side: the readout of graphs."""
    return torch.cat([segment_mean(values, segments), segment_max(values, segments)], dim=1)


def softmax_powers(scores: Float[Tensor, "rows heads"], segments: Segments) -> Float[Tensor, "rows heads"]:
    """e to the scores, with the highest score of each segment and head as zero: their share of the sum is the softmax.

    To divide by the sum after a weighed sum takes segments instead of rows. No sum of a segment with rows is below 1,
    so `clamp(min=0.5)` changes that of an empty one alone (at 1 it would stop gradients where there is one row).
    """
    return torch.exp(scores - spread(segment_max(scores.detach(), segments), segments))
