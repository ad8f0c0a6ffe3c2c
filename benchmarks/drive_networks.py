"""Networks of benchmarks/drive.py that the catalog does not have: what answers for pixels, and what knows a view."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from monai.networks.nets.basic_unet import BasicUNet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from medray.models.cnn import ConvBlock
from medray.models.gatedgcn import GatedGCN
from medray.models.hybrid import HybridNet, pool_regions
from medray.models.segments import mean_and_max, segments_of, spread
from medray.samples.batch import Inputs

HALVINGS = 4
"""Of BasicUNet: it takes sides that are multiples of 2^4."""

Images = Float[Tensor, "batch channels rows columns"]
Regions = Int64[Tensor, "batch rows columns"]


class HybridInView(HybridNet):
    """`hybrid` where some pixels are in no region (-1)."""

    def embed(  # type: ignore[override]
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, *, image: Images, regions: Regions,
        **graph: Any,
    ) -> Float[Tensor, "nodes width"]:  # fmt: skip
        """Node embeddings after the last round."""
        nodes = len(x)
        pooled = pool_regions(self.stem(image), torch.where(regions < 0, nodes, regions), nodes + 1)[:nodes]
        return GatedGCN.embed(self, torch.cat([x, pooled], dim=1), edge_index, edge_attr, batch, **graph)


class RefinedHybrid(HybridNet):
    """`hybrid` that answers for pixels: the embedding of its region stands beside each pixel's own map of the stem."""

    def __init__(
        self, node_features: int, edge_features: int, num_classes: int, *, stem: tuple[int, ...], **options: Any
    ) -> None:
        super().__init__(node_features, edge_features, num_classes, stem=stem, answers="node", **options)
        width, channels = options.get("width", self.default_width), stem[-1]
        self.head = nn.Sequential()  # nodes are not answered for
        self.from_region = nn.Linear(width, channels)
        self.from_pixel = nn.Linear(channels, channels)
        self.answer = nn.Linear(channels, num_classes)

    def forward(  # type: ignore[override]
        self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, *, image: Images, regions: Regions,
        **graph: Any,
    ) -> Float[Tensor, "pixels classes"]:  # fmt: skip
        """Logits of the pixels that are in a region, in raster order."""
        inside = regions.flatten() >= 0
        order = torch.argsort(regions.flatten()[inside], stable=True)
        nodes = segments_of(regions.flatten()[inside][order], len(x))
        pixels = self.stem(image).permute(0, 2, 3, 1).flatten(0, 2)[inside].index_select(0, order)
        joined = torch.cat([x, mean_and_max(pixels, nodes)], dim=1)
        hidden = GatedGCN.embed(self, joined, edge_index, edge_attr, batch, **graph)
        logits = self.answer(F.relu(self.from_pixel(pixels) + spread(self.from_region(hidden), nodes)))
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        found: Tensor = logits.index_select(0, back)
        return found


class StemAlone(nn.Module):
    """The stem and a perceptron on each pixel: `RefinedHybrid` without its graph."""

    def __init__(self, num_classes: int, stem: tuple[int, ...]) -> None:
        super().__init__()
        blocks = (ConvBlock(a, b) for a, b in zip((1, *stem[:-1]), stem, strict=True))
        head = (nn.Conv2d(stem[-1], stem[-1], 1), nn.ReLU(), nn.Conv2d(stem[-1], num_classes, 1))
        self.layers = nn.Sequential(*blocks, *head)

    def forward(self, image: Images, inside: Bool[Tensor, "batch rows columns"]) -> Float[Tensor, "pixels classes"]:
        """Logits of the pixels inside, in raster order."""
        found: Tensor = self.layers(image).permute(0, 2, 3, 1)[inside]
        return found


class UNetInView(nn.Module):
    """MONAI's BasicUNet (batch norm), for images of any size.

    Args:
        num_classes: logits of a pixel.
        features: channels of its five levels, and of the last convolutions.
    """

    def __init__(self, num_classes: int, features: tuple[int, ...]) -> None:
        super().__init__()
        self.network = BasicUNet(2, 1, num_classes, features=features, norm="batch")

    def forward(self, image: Images, inside: Bool[Tensor, "batch rows columns"]) -> Float[Tensor, "pixels classes"]:
        """Logits of the pixels inside, in raster order. Missing rows and columns are 0, as outside the view."""
        rows, columns = image.shape[2:]
        step = 2**HALVINGS
        logits: Tensor = self.network(F.pad(image, (0, -columns % step, 0, -rows % step)))
        return logits[:, :, :rows, :columns].permute(0, 2, 3, 1)[inside]


@torch.inference_mode()
def multiplications(network: nn.Module, inputs: Inputs) -> int:
    """Of one answer, in products of matrices and in convolutions; sums over edges and gates are not among them."""
    counter = FlopCounterMode(display=False)
    with counter:
        network.eval()(**inputs)
    return int(counter.get_total_flops()) // 2
