"""Every region of a batch one connected piece, on any device: the regions of `graphs.connectivity_kernels`.

Runs are the stretches of one label in one row; pieces are 4-connected runs of one label. A round joins each piece that
is too small to the neighbour whose mean is nearest. All of a round's joins are found before any is made, there as
here, so their order cannot matter. The host waits wherever a length depends on the images.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from medray.samples.device_sums import Groups, lowest_connected, numbered, reduce_slices

Planes = Float32[Tensor, "batch rows columns"]
Labels = Int64[Tensor, "batch rows columns"]
Pairs = tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]


@dataclass(frozen=True)
class Runs:
    """Runs of a batch in raster order, one image after the other.

    Attributes:
        ends: first pixel of each run, as a flat number through the batch, and the end of the last.
        of_pixel: the run of each pixel.
        columns: of an image.
    """

    ends: Int64[Tensor, " runs_and_end"]
    of_pixel: Int64[Tensor, " pixels"]
    columns: int

    @property
    def starts(self) -> Int64[Tensor, " runs"]:
        """First pixel of each run."""
        return self.ends[:-1]

    def contacts(self, rows: int) -> Pairs:
        """Upper and lower run of each pair that touches from row to row; the host waits for how many."""
        lines = F.pad(self.of_pixel.diff(), (1, 0), value=1).view(-1, rows, self.columns).bool()
        meets = torch.zeros_like(lines)
        meets[:, 1:] = lines[:, 1:] | lines[:, :-1]
        below = meets.flatten().nonzero()[:, 0]
        return self.of_pixel[below - self.columns], self.of_pixel[below]

    def neighbours(self) -> Pairs:
        """Left and right run of each pair in a row; the host waits for how many."""
        right = (self.starts % self.columns).nonzero()[:, 0]
        return right - 1, right


def find_runs(labels: Labels) -> Runs:
    """The runs of label maps; the host waits for how many there are."""
    new = torch.ones_like(labels, dtype=torch.bool)
    new[..., 1:] = labels[..., 1:] != labels[..., :-1]
    flat = new.flatten()
    ends = torch.cat([flat.nonzero()[:, 0], torch.full((1,), flat.numel(), device=labels.device)])
    return Runs(ends, flat.cumsum(0) - 1, labels.shape[2])


def connect_on(planes: Planes, labels: Labels, smallest: int) -> Labels:
    """Split labels into connected pieces, join pieces of fewer than `smallest` pixels to a neighbour, number the rest.

    Returns:
        Numbers 0 … in each image, in the raster order of the regions' first pixels.
    """
    runs = find_runs(labels)
    upper, lower = runs.contacts(labels.shape[1])
    label = labels.flatten()[runs.starts]
    alike = label[upper] == label[lower]
    piece, count = numbered(lowest_connected(len(label), upper[alike], lower[alike]))
    totals = reduce_slices(planes.double().view(-1, 1), runs.ends, "sum")
    sums = Groups(piece, count).reduce(torch.cat([runs.ends.diff().double()[:, None], totals], dim=1))
    left, right = runs.neighbours()
    one, other = torch.cat([piece[left], piece[upper]]), torch.cat([piece[right], piece[lower]])
    owner = _joined(sums, torch.cat([one, other]), torch.cat([other, one]), smallest)
    region, _ = numbered(owner)
    numbers = region[piece][runs.of_pixel].view_as(labels)
    return numbers - numbers[:, :1, :1]


def _joined(
    sums: Float[Tensor, "pieces 2"], one: Int64[Tensor, " links"], other: Int64[Tensor, " links"], smallest: int
) -> Int64[Tensor, " pieces"]:
    """The lowest piece of the region that each piece ends in.

    Args:
        sums: pixels and sum of values of each piece.
        one: pieces that touch, each pair in both directions and maybe often.
        other: what `one` touches.
        smallest: pixels a region needs.
    """
    count = len(sums)
    owner = torch.arange(count, device=sums.device)
    while True:
        asks = (one != other) & (sums[one, 0] < smallest)
        one, other = one[asks], other[asks]
        if not len(one):
            return owner
        means = sums[:, 1] / sums[:, 0]
        asking, gap = Groups(one, count), (means[one] - means[other]).abs()
        nearest = gap == asking.reduce(gap[:, None], "min")[one, 0]
        offered = torch.where(nearest, other.double(), torch.inf)
        best = asking.reduce(offered[:, None], "min")[one, 0].long()
        joined = lowest_connected(count, one, best)
        owner, sums = joined[owner], Groups(joined, count).reduce(sums)
        one, other = joined[one], joined[other]
