"""A convolutional stem pooled on superpixels, and gated graph layers on the regions: texture from pixels, shape from
the graph. Source of the idea: reference networks on convolutional maps beat graphs of plain region statistics.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from medray.models.cnn import ConvBlock
from medray.models.gatedgcn import GatedLayer
from medray.models.segments import mean_and_max


class HybridNet(nn.Module):
    """Convolutions at full resolution; their mean and maximum over each region join the region's own features.

    Batch norm at the input of the graph brings both to one scale.
    """

    def __init__(
        self,
        in_channels: int,
        node_features: int,
        edge_features: int,
        num_classes: int,
        *,
        stem: tuple[int, ...] = (16, 32),
        width: int = 32,
        layers: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        inputs = (in_channels, *stem[:-1])
        self.stem = nn.Sequential(*(ConvBlock(a, b) for a, b in zip(inputs, stem, strict=True)))
        joined = node_features + 2 * stem[-1]
        self.node_input = nn.Sequential(nn.BatchNorm1d(joined), nn.Linear(joined, width))
        self.edge_input = nn.Sequential(nn.BatchNorm1d(edge_features), nn.Linear(edge_features, width))
        self.layers = nn.ModuleList(GatedLayer(width, updates_edges=k < layers - 1) for k in range(layers))
        self.head = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def embed(
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        *,
        image: Float[Tensor, "batch channels rows columns"],
        regions: Int64[Tensor, "batch rows columns"],
    ) -> Float[Tensor, "nodes width"]:
        """Node embeddings after the last layer. `regions` is the node of each pixel."""
        pixels = self.stem(image).permute(0, 2, 3, 1).flatten(0, 2)
        pooled = mean_and_max(pixels, regions.flatten(), x.shape[0])
        hidden: Tensor = self.node_input(torch.cat([x, pooled], dim=1))
        edges = self.edge_input(edge_attr)
        for layer in self.layers:
            hidden, edges = layer(hidden, edges, edge_index)
        return hidden

    def read_out(
        self, embedding: Float[Tensor, "nodes width"], batch: Int64[Tensor, " nodes"], num_graphs: int
    ) -> Float[Tensor, "graphs classes"]:
        """Logits of each graph from the embeddings of its nodes."""
        logits: Tensor = self.head(mean_and_max(embedding, batch, num_graphs))
        return logits

    def forward(
        self,
        x: Float[Tensor, "nodes node_features"],
        edge_index: Int64[Tensor, "2 edges"],
        edge_attr: Float[Tensor, "edges edge_features"],
        batch: Int64[Tensor, " nodes"],
        num_graphs: int,
        image: Float[Tensor, "batch channels rows columns"],
        regions: Int64[Tensor, "batch rows columns"],
    ) -> Float[Tensor, "graphs classes"]:
        """Logits. `edge_index` holds both directions of each edge; `batch` is the graph of each node."""
        embedding = self.embed(x, edge_index, edge_attr, image=image, regions=regions)
        return self.read_out(embedding, batch, num_graphs)
