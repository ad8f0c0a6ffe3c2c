"""SLIC of a batch of images by dense tensor operations: the labels of `graphs.slic_kernels`, on any device.

Pixels lie by the cells of the first grid, so that a centre meets all pixels of a cell at once, without looking anything
up. Which cells a centre reaches follows from where the centres are: 3 x 3 around its own at first, about 5 x 5 when
they have moved. The host asks for that once a sweep; nothing else waits for the device. All products and sums of
the distance are rounded as in the kernel.

Source: Achanta et al. 2012, SLIC superpixels, doi:10.1109/TPAMI.2012.120.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float32, Int16, Int64
from torch import Tensor

from medray.graphs.plan import SlicPlan
from medray.samples.device_sums import Groups

FAR = -1e9
"""Where the centres stand that lie beyond the grid: too far from every pixel."""
REACH = 1.25
"""How far centres reach, in sides of a cell."""

Planes = Float32[Tensor, "batch rows columns"]
Centres = Float32[Tensor, "batch down across 3"]
Steps = list[tuple[int, int]]
ByCell = Float32[Tensor, "batch down cell_rows across cell_columns"]
Labels = Int64[Tensor, "batch rows columns"]
Choice = Int16[Tensor, "batch down cell_rows across cell_columns"]


def blur_on(planes: Planes, weights: Float32[np.ndarray, " taps"]) -> Planes:
    """`graphs.blur_kernels.blur` of each plane: down the rows first, each sum in the same order."""
    for axis in (1, 2):
        length, reach = planes.shape[axis], len(weights) - 1
        places = torch.arange(-reach, length + reach, device=planes.device).clamp(0, length - 1)
        wide, planes = planes.index_select(axis, places), torch.zeros_like(planes)
        for step, weight in enumerate((weights[0] * np.float32(0.5), *weights[1:])):
            pair = wide.narrow(axis, reach - step, length) + wide.narrow(axis, reach + step, length)
            planes = planes + float(weight) * pair
    return planes


@dataclass(frozen=True)
class _Side:
    """Rows, or columns, dealt out to their cells: as many places a cell as the fullest one needs.

    Attributes:
        length: of the whole image.
        cells: how many.
        places: which row or column stands at each place; any at places that are left over.
        home: the place of each row or column that takes part, all cells' places in one line.
        cell: of each row or column of the whole image.
    """

    length: int
    cells: int
    places: Int64[Tensor, "cells cell_places"]
    home: Int64[Tensor, " lines"]
    cell: Int64[Tensor, " length"]

    @property
    def reach(self) -> float:
        """How far a centre reaches, in pixels."""
        return float(np.float32(REACH * self.length / self.cells))

    def reached(self, centres: Float32[Tensor, "batch down across"]) -> list[Int64[Tensor, "batch down across"]]:
        """The first and the last cell with a pixel in reach of each centre, or one beyond."""
        ends = (centres - self.reach).floor(), (centres + self.reach).ceil()
        return [self.cell[end.long().clamp(0, self.length - 1)] for end in ends]


def _deal(cell: np.ndarray, cells: int, lines: slice, device: torch.device) -> _Side:
    """The rows or columns `lines` to their cells; `cell` is that of each, in ascending order."""
    taken = cell[lines]
    counts = np.bincount(taken, minlength=cells)
    most = int(counts.max())
    home = taken * most + np.arange(len(taken)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.zeros(cells * most, np.int64)
    places[home] = np.arange(len(cell))[lines]
    on_device = [torch.from_numpy(array).to(device) for array in (places.reshape(cells, most), home, cell)]
    return _Side(len(cell), cells, *on_device)


class _Cells:
    """Every stride-th row of the images from the first on, and all columns, by the cells of the first grid."""

    def __init__(self, planes: Planes, grid: tuple[int, int], first: int, stride: int) -> None:
        _, rows, columns = planes.shape
        lines = slice(first, None, stride)
        middles = (np.arange(columns, dtype=np.float32) + np.float32(0.5)).astype(float)  # the kernel's own rounding
        self.down = _deal(np.arange(rows) * grid[0] // rows, grid[0], lines, planes.device)
        self.across = _deal((middles * grid[1] / columns).astype(np.int64), grid[1], slice(None), planes.device)
        self.lines = planes[:, lines]
        self.rows = torch.arange(rows, device=planes.device, dtype=torch.float64)[lines]
        by_row = planes.index_select(1, self.down.places.flatten())
        by_both = by_row.index_select(2, self.across.places.flatten())
        self.values: ByCell = by_both.view(-1, *self.down.places.shape, *self.across.places.shape)

    def labels(self, choice: Choice, steps: Steps) -> Labels:
        """Numbers of centres, row by row, where `choice` says which of the steps leads to them."""
        down, across = self.down.cells, self.across.cells
        own = torch.arange(down * across, device=choice.device).view(down, 1, across, 1)
        further = torch.tensor([step[0] * across + step[1] for step in steps], device=choice.device)
        numbers = own + further.index_select(0, choice.flatten().int()).view_as(choice)
        return numbers.flatten(1, 2).index_select(1, self.down.home).flatten(2).index_select(2, self.across.home)


def slic_on(planes: Planes, plan: SlicPlan) -> Labels:
    """The number of the nearest centre of each pixel; regions may still fall into pieces."""
    phases = [_Cells(planes, plan.grid, first, plan.stride) for first in range(min(plan.stride, plan.sweeps - 1))]
    centres = _first_centres(planes, plan.grid)
    for sweep in range(plan.sweeps - 1):
        cells = phases[sweep % plan.stride]
        centres = _moved(centres, cells, _assigned(centres, cells, float(plan.weight)))
    return _assigned(centres, _Cells(planes, plan.grid, 0, 1), float(plan.weight))


def _first_centres(planes: Planes, grid: tuple[int, int]) -> Centres:
    """(row, column, value) in the middle of each cell."""
    batch, *lengths = planes.shape
    sides = [(np.arange(cells) + 0.5) * length / cells - 0.5 for cells, length in zip(grid, lengths, strict=True)]
    at = [torch.from_numpy((side + 0.5).astype(np.int64)).to(planes.device) for side in sides]
    row, column = (torch.from_numpy(side.astype(np.float32)).to(planes.device) for side in sides)
    shape = (batch, *grid)
    value = planes[:, at[0]][:, :, at[1]]
    return torch.stack([row[:, None].expand(shape), column.expand(shape), value], dim=-1)


def _steps(centres: Centres, cells: _Cells) -> Steps:
    """The steps from a cell to one whose centre reaches into it, for any cell of any image, in ascending order.

    Of centres at the same distance the one with the lowest number has the pixel, so their order matters.
    """
    down, across = cells.down.cells, cells.across.cells
    own = torch.arange(down, device=centres.device)[:, None], torch.arange(across, device=centres.device)
    ends = cells.down.reached(centres[..., 0]) + cells.across.reached(centres[..., 1])
    most = max(down, across)
    code = torch.zeros_like(ends[0])
    for end, place in zip(ends, (own[0], own[0], own[1], own[1]), strict=True):
        code = code * (2 * most) + (place - end + most)
    steps = {(0, 0)}
    for number in torch.unique(code).tolist():
        last, first, right, left = (number // (2 * most) ** power % (2 * most) - most for power in (3, 2, 1, 0))
        steps |= set(product(range(first, last + 1), range(left, right + 1)))
    return sorted(steps)


def _assigned(centres: Centres, cells: _Cells, weight: float) -> Labels:
    """The nearest centre of each pixel; that of its own cell where none reaches it."""
    steps = _steps(centres, cells)
    ring = max(abs(part) for step in steps for part in step)
    padded = F.pad(centres, (0, 0, ring, ring, ring, ring), value=FAR)
    below, beside = cells.down.cells + ring, cells.across.cells + ring
    around = torch.stack([padded[:, ring + i : below + i, ring + j : beside + j] for i, j in steps])
    row, column, value = around[:, :, :, None, :, None].unbind(-1)
    row_terms, column_terms = _row_terms(cells.down, row, weight), _column_terms(cells.across, column, weight)
    distance = torch.full_like(cells.values, torch.inf)
    choice = torch.full_like(cells.values, steps.index((0, 0)), dtype=torch.int16)
    for step in range(len(steps)):
        found = cells.values - value[step]
        found.mul_(found).add_(column_terms[step] + row_terms[step])
        choice.masked_fill_(found < distance, step)
        torch.minimum(distance, found, out=distance)
    return cells.labels(choice, steps)


def _row_terms(side: _Side, row: Tensor, weight: float) -> Tensor:
    """What the rows between a pixel and a centre add to their distance; inf beyond the centre's reach."""
    down = side.places.float()[:, :, None, None] - row
    return torch.where(down.abs() <= side.reach, weight * down * down, torch.inf)


def _column_terms(side: _Side, column: Tensor, weight: float) -> Tensor:
    """As `_row_terms`; the kernel counts columns from the first in reach, and this rounds as it does."""
    columns = side.places.float()
    first, last = (column - side.reach).ceil().clamp(min=0), (column + side.reach).floor()
    across = (columns - first) + (first - column)
    return torch.where((columns >= first) & (columns <= last), weight * (across * across), torch.inf)


def _moved(centres: Centres, cells: _Cells, labels: Labels) -> Centres:
    """Centres at the means of their pixels; one without pixels stays where it is."""
    batch, down, across, _ = centres.shape
    values = cells.lines.double()
    rows, columns = cells.rows[:, None], torch.arange(values.shape[2], device=values.device)
    parts = (torch.ones_like(values), rows.expand_as(values), columns.expand_as(values), values)
    first = torch.arange(batch, device=values.device)[:, None, None] * (down * across)
    groups = Groups((labels + first).flatten(), batch * down * across)
    sums = groups.reduce(torch.stack(parts, dim=-1).flatten(0, 2)).view(batch, down, across, 4)
    means = (sums[..., 1:] / sums[..., :1]).float()
    return torch.where(sums[..., :1] > 0, means, centres)
