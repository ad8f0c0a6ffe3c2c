"""Features of regions and of the edges between them for a batch of label maps, on any device: `graphs.region_kernels`.

Sums are of float64, pixels to runs and runs to regions, in raster order, as there.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int64
from torch import Tensor

from medray.samples.device_connectivity import Planes, find_runs
from medray.samples.device_sums import Groups, Reduction, reduce_slices

Labels = Int64[Tensor, "batch rows columns"]
PerRegion = Float64[Tensor, " regions"]
Edges = tuple[Int64[Tensor, "2 edges"], Float64[Tensor, "edges 3"]]


class Regions:
    """The regions of a batch, numbered on from image to image.

    Attributes:
        shape: batch, rows, columns.
        ptr: first region of each image, and the end.
        numbers: the region of each pixel.
        count: of all regions; the host waits for it.
        image: which image each region is of.
        expected: mean area of the regions of its image, for each region.
    """

    def __init__(self, labels: Labels) -> None:
        self.shape = batch, rows, columns = labels.shape
        counts = labels.amax((1, 2)) + 1
        self.ptr: Int64[Tensor, " batch_and_end"] = F.pad(counts.cumsum(0), (1, 0))
        self.numbers: Labels = labels + self.ptr[:-1, None, None]
        self.count = int(self.ptr[-1])
        self.image: Int64[Tensor, " regions"] = torch.arange(batch, device=labels.device).repeat_interleave(
            counts, output_size=self.count
        )
        self.expected: PerRegion = rows * columns / counts[self.image].double()
        self.runs = find_runs(self.numbers)
        self._of_run = Groups(self.numbers.flatten()[self.runs.starts], self.count)

    def of_runs(self, values: Float[Tensor, "runs parts"], how: Reduction = "sum") -> Float[Tensor, "regions parts"]:
        """Reduce what is given for each run of a region."""
        return self._of_run.reduce(values, how)

    def of_pixels(
        self, values: Float[Tensor, "batch rows columns parts"], how: Reduction = "sum"
    ) -> Float[Tensor, "regions parts"]:
        """Reduce what is given for each pixel of a region; sums in float64."""
        return self.of_runs(reduce_slices(values.flatten(0, 2), self.runs.ends, how), how)


def central_differences(planes: Planes) -> tuple[Planes, Planes]:
    """Twice the gradient, down and across; the image goes on at its edges with its last value."""
    wide = F.pad(planes[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    return wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1], wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]


def find_edges(planes: Planes, regions: Regions, *, corners: bool) -> Edges:
    """Pairs of neighbouring regions, lower first, in lexicographic order; the host waits for how many there are.

    Args:
        planes: the images.
        regions: their regions.
        corners: also join regions that meet in a corner only, for grids.

    Returns:
        The pairs, and for each its pixel sides, the sum of |difference| across them and the pixel pairs of that sum.
    """
    at, values = regions.numbers, planes.double()
    touching = [
        _pairs(at[..., :-1], at[..., 1:], values[..., :-1] - values[..., 1:], sides=1),
        _pairs(at[:, :-1], at[:, 1:], values[:, :-1] - values[:, 1:], sides=1),
    ]
    if corners:
        touching += _corners(at, values)
    low, high, records = (torch.cat(part) for part in zip(*touching, strict=True))
    codes, order = torch.sort(low * regions.count + high, stable=True)
    found, repeats = torch.unique_consecutive(codes, return_counts=True)
    sums = reduce_slices(records[order], F.pad(repeats.cumsum(0), (1, 0)), "sum")
    return torch.stack([found // regions.count, found % regions.count]), sums


def _pairs(one: Tensor, other: Tensor, step: Tensor, *, sides: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lower and higher region of the pixel pairs of two regions, and what each adds to their edge.

    The host waits for how many there are.
    """
    across = (one != other).flatten().nonzero()[:, 0]
    ends, steps = (one.flatten()[across], other.flatten()[across]), step.flatten()[across].abs()
    records = torch.stack([torch.full_like(steps, sides), steps, torch.ones_like(steps)], dim=1)
    return torch.minimum(*ends), torch.maximum(*ends), records


def _corners(at: Labels, values: Float64[Tensor, "batch rows columns"]) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Both diagonals of the 2 x 2 windows that see four regions."""
    a, b, c, d = at[:, :-1, :-1], at[:, :-1, 1:], at[:, 1:, :-1], at[:, 1:, 1:]
    four = (a != b) & (a != c) & (b != d) & (c != d)
    falling, rising = values[:, :-1, :-1] - values[:, 1:, 1:], values[:, :-1, 1:] - values[:, 1:, :-1]
    diagonals = ((a, d, falling), (b, c, rising))
    return [_pairs(torch.where(four, one, other), other, step, sides=0) for one, other, step in diagonals]


def describe_regions(
    planes: Planes, regions: Regions, edges: Edges
) -> tuple[Float32[Tensor, "regions 12"], Float32[Tensor, "regions 2"]]:
    """The columns of `features.STATISTICS`, and the centroids as `RegionGraph.pos` has them."""
    _, rows, columns = regions.shape
    values = planes[..., None]
    down, across = central_differences(planes)
    steepness = 0.5 * torch.sqrt(across * across + down * down)
    total, squares, gradient = regions.of_pixels(
        torch.stack([planes.double(), planes.double().square(), steepness.double()], dim=-1)
    ).T
    area, row, column, *moments, border = regions.of_runs(_moments(regions)).T
    perimeter = border + _inner_sides(regions, edges)
    mean, root = total / area, area.sqrt()
    long_axis, short_axis = _axes(area, row, column, moments)
    centre = torch.stack([row / area + 0.5 - rows / 2, column / area + 0.5 - columns / 2], dim=1)
    x = [
        (area / regions.expected).log(),
        mean,
        (squares / area - mean * mean).clamp(min=0).sqrt(),
        regions.of_pixels(values, "min")[:, 0],
        regions.of_pixels(values, "max")[:, 0],
        (gradient / area * regions.expected.sqrt()).log1p(),
        long_axis / root,
        short_axis / root,
        perimeter / (4 * root),
        border / perimeter,
        4 * math.pi * area / perimeter.square(),
        centre.square().sum(1).sqrt() / (math.hypot(rows, columns) / 2),
    ]
    return torch.stack(x, dim=1).float(), (centre / max(rows, columns)).float()


def _moments(regions: Regions) -> Float64[Tensor, "runs 7"]:
    """Area, sums of rows, columns, rows^2, columns^2 and rows * columns of each run, and its sides at the border."""
    _, rows, columns = regions.shape
    starts = regions.runs.starts
    count, start = regions.runs.ends.diff().double(), (starts % columns).double()
    row = (starts // columns % rows).double()
    across = count * (start + (count - 1) / 2)
    across_squares = across * across / count + count * (count * count - 1) / 12
    ends = (start == 0).double() + (start + count == columns).double()
    border = ends + ((row == 0).double() + (row == rows - 1).double()) * count
    return torch.stack([count, count * row, across, count * row * row, across_squares, across * row, border], dim=1)


def _inner_sides(regions: Regions, edges: Edges) -> PerRegion:
    """Pixel sides of each region at other regions."""
    pairs, sums = edges
    return Groups(pairs.flatten(), regions.count).reduce(sums[:, :1].repeat(2, 1))[:, 0]


def _axes(area: PerRegion, row: PerRegion, column: PerRegion, moments: list[Tensor]) -> tuple[PerRegion, PerRegion]:
    """Square roots of the eigenvalues of the second moments, larger first; pixels are unit squares."""
    row, column = row / area, column / area
    down, across, cross = (moment / area for moment in moments)
    down, across, cross = down - row * row + 1 / 12, across - column * column + 1 / 12, cross - row * column
    middle, apart = (down + across) / 2, ((down - across).square() / 4 + cross * cross).sqrt()
    return (middle + apart).sqrt(), (middle - apart).clamp(min=0).sqrt()
