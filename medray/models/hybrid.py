"""Convolutions pooled on superpixels, and gated rounds between the regions: texture from pixels, shape from the graph.

Vision networks that beat convolutions with graphs have node features of a convolutional stem (reference: Han et al.
2022, arXiv:2206.00272); here the nodes are an image's own regions.
"""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medray.models.cnn import ConvBlock
from medray.models.gatedgcn import GatedGCN
from medray.models.segments import mean_and_max, segments_of


def pool_regions(
    maps: Float[Tensor, "batch channels rows columns"], regions: Int64[Tensor, "batch rows columns"], nodes: int
) -> Float[Tensor, "nodes doubled"]:
    """Mean and maximum of each channel over the pixels of each node; 0 where a node has none."""
    order = torch.argsort(regions.flatten(), stable=True)
    pixels = maps.permute(0, 2, 3, 1).flatten(0, 2).index_select(0, order)
    return mean_and_max(pixels, segments_of(regions.flatten().index_select(0, order), nodes))


class HybridNet(GatedGCN):
    """Convolutions at full resolution; their mean and maximum over each region join the region's own features.

    Args:
        node_features: columns of `x`.
        edge_features: columns of `edge_attr`.
        num_classes: logits it answers.
        in_channels: of the image.
        stem: channels of the convolution blocks.
        options: `answers` of `GraphNetwork`, and fields of `GraphOptions`.
    """

    default_width = 32

    def __init__(
        self,
        node_features: int,
        edge_features: int,
        num_classes: int,
        *,
        in_channels: int = 1,
        stem: tuple[int, ...] = (16, 32),
        **options: Any,
    ) -> None:
        super().__init__(node_features + 2 * stem[-1], edge_features, num_classes, **options)
        inputs = (in_channels, *stem[:-1])
        self.stem = nn.Sequential(*(ConvBlock(a, b) for a, b in zip(inputs, stem, strict=True)))

    def embed(  # type: ignore[override]
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        batch: Int64[Tensor, " nodes"] | None = None,
        *,
        image: Float[Tensor, "batch channels rows columns"],
        regions: Int64[Tensor, "batch rows columns"],
        num_graphs: int = 1,
    ) -> Float[Tensor, "nodes width"]:
        """Node embeddings after the last round. `regions` is the node of each pixel."""
        joined = torch.cat([x, pool_regions(self.stem(image), regions, x.shape[0])], dim=1)
        return super().embed(joined, edge_index, edge_attr, batch, num_graphs=num_graphs)

    def forward(  # type: ignore[override]
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        batch: Int64[Tensor, " nodes"],
        num_graphs: int,
        image: Float[Tensor, "batch channels rows columns"],
        regions: Int64[Tensor, "batch rows columns"],
    ) -> Float[Tensor, "answers classes"]:
        """Logits of each graph, or of each node."""
        graph = {"batch": batch, "num_graphs": num_graphs}
        embedding = self.embed(x, edge_index, edge_attr, image=image, regions=regions, **graph)  # type: ignore[arg-type]
        return self.read_out(embedding, batch, num_graphs)
