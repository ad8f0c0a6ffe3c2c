"""Sums, minima and maxima of rows that belong together, in the order of the rows: the same on every run, on any device.

`index_add` on a GPU adds in any order, and torch documents `scatter_reduce` there as refused where algorithms must be
deterministic. Here rows are sorted by their group (a stable sort), and each group is one loop of `segment_reduce`.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Reduction = Literal["sum", "min", "max"]
Table = Float[Tensor, "rows columns"]
Reduced = Float[Tensor, "groups columns"]


def reduce_slices(values: Table, ends: Int64[Tensor, " groups_and_end"], how: Reduction) -> Reduced:
    """Reduce rows that stand together.

    Args:
        values: the rows of a group after those of the group before it.
        ends: where each group starts, and the end of the last.
        how: a group without rows has the sum 0, the minimum inf and the maximum -inf.
    """
    reduced: Reduced = torch.segment_reduce(values.contiguous(), how, offsets=ends, axis=0, unsafe=True)
    return reduced


class Groups:
    """Which group each row of a table belongs to."""

    def __init__(self, of_row: Int64[Tensor, " rows"], count: int) -> None:
        self.of_row, self.count = of_row, count
        ordered, self._order = torch.sort(of_row, stable=True)
        self._ends = torch.searchsorted(ordered, torch.arange(count + 1, device=of_row.device))

    def reduce(self, values: Table, how: Reduction = "sum") -> Reduced:
        """One row a group; what a group without rows has, `reduce_slices` says."""
        return reduce_slices(values[self._order], self._ends, how)

    def sizes(self) -> Int64[Tensor, " groups"]:
        """Rows of each group."""
        return self._ends.diff()


def lowest_connected(
    count: int, one: Int64[Tensor, " pairs"], other: Int64[Tensor, " pairs"]
) -> Int64[Tensor, " members"]:
    """Connected components: for each of the members 0 … count - 1 the lowest one that pairs connect it with.

    Each round hooks the higher of two components on the lower and then shortens the way to its lowest member fourfold.
    The host waits once a round, to see whether that was the last; components of d members in a row take about log d.
    """
    lowest = torch.arange(count, device=one.device)
    while True:
        ends = lowest[one], lowest[other]
        if torch.equal(*ends):
            return lowest
        high, low = torch.maximum(*ends), torch.minimum(*ends)
        offered = Groups(high, count).reduce(low.double()[:, None], "min")[:, 0]
        lowest = torch.minimum(lowest, offered.clamp(max=count).long())
        for _ in range(2):
            lowest = lowest[lowest]


def numbered(lowest: Int64[Tensor, " members"]) -> tuple[Int64[Tensor, " members"], int]:
    """Components numbered 0 … in the order of their lowest members, and how many there are. The host waits for that."""
    first = lowest == torch.arange(len(lowest), device=lowest.device)
    numbers = first.cumsum(0) - 1
    return numbers[lowest], int(numbers[-1]) + 1
