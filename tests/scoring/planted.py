"""Small models that have learnt to find a bright square: on images, on graphs of their blocks, and on both."""

import functools

import torch
from torch import Tensor, nn

from medray.models.cnn import SmallCNN
from medray.models.gatedgcn import GatedGCN
from medray.models.hybrid import HybridNet
from medray.samples.batch import Batch
from medray.settings import OptimizerSettings
from medray.training.fit import start_training, train_epoch
from medray.training.task import Classify
from tests.models.region_graphs import Inputs, join
from tests.models.test_hybrid import together
from tests.training.planted import image_batches, square_images

TASK = Classify(("no", "yes"))
GRID = 7


def grid_graph(image: Tensor) -> Inputs:
    """Blocks of 4 x 4 pixels (standard deviation and mean) and their four neighbours."""
    blocks = image[0].unfold(0, 4, 4).unfold(1, 4, 4).reshape(GRID * GRID, 16)
    number = torch.arange(GRID * GRID).reshape(GRID, GRID)
    pairs = torch.cat(
        [
            torch.stack([number[:, :-1], number[:, 1:]]).reshape(2, -1),
            torch.stack([number[:-1], number[1:]]).reshape(2, -1),
        ],
        dim=1,
    )
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)
    edge_index = edge_index[:, torch.argsort(edge_index[1], stable=True)]
    x = torch.stack([blocks.std(1), blocks.mean(1)], dim=1)
    return {
        "x": x,
        "edge_index": edge_index,
        "edge_attr": x[edge_index[0]] - x[edge_index[1]],
        "batch": torch.zeros(GRID * GRID, dtype=torch.int64),
        "num_graphs": 1,
    }


BLOCKS = torch.arange(GRID * GRID).reshape(GRID, GRID).repeat_interleave(4, 0).repeat_interleave(4, 1)
"""The block of each pixel."""


def grid_regions(image: Tensor) -> Inputs:
    """The same, and the image with the block of each pixel."""
    return {**grid_graph(image), "image": image[None], "regions": BLOCKS[None]}


def train(model: nn.Module, batches: list[Batch], epochs: int) -> None:
    state = start_training(model, OptimizerSettings(epochs=epochs, learning_rate=5e-3), len(batches), seed=0)
    for _ in range(epochs):
        train_epoch(state, batches, TASK, device="cpu")
    model.eval()


@functools.cache
def trained_cnn() -> SmallCNN:
    torch.manual_seed(0)
    model = SmallCNN(1, 2)
    images, labels, _ = square_images(160)
    train(model, list(image_batches(images, labels)), 4)
    return model


@functools.cache
def trained_gatedgcn() -> GatedGCN:
    torch.manual_seed(0)
    model = GatedGCN(2, 2, 2, width=12, layers=2)
    images, labels, _ = square_images(160)
    graphs = [grid_graph(image) for image in images]
    names = [str(k) for k in range(16)]
    train(model, [Batch(join(graphs[k : k + 16]), labels[k : k + 16], names) for k in range(0, 160, 16)], 6)
    return model


@functools.cache
def trained_hybrid() -> HybridNet:
    torch.manual_seed(0)
    model = HybridNet(2, 2, 2, stem=(4, 8), width=12, layers=2)
    images, labels, _ = square_images(160)
    both, names = [grid_regions(image) for image in images], [str(k) for k in range(16)]
    train(model, [Batch(together(both[k : k + 16]), labels[k : k + 16], names) for k in range(0, 160, 16)], 6)
    return model


def planted(kind: str, image: Tensor) -> tuple[nn.Module, Inputs]:
    """The trained model of a kind, and an image as it reads it."""
    if kind == "image":
        return trained_cnn(), {"image": image[None]}
    return (trained_gatedgcn(), grid_graph(image)) if kind == "graph" else (trained_hybrid(), grid_regions(image))
