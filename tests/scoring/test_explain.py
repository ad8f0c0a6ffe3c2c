"""medray/scoring/explain.py: a bright square decides the class, so the heat must lie on it."""

import functools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medray.models.catalog import MODELS, build_model
from medray.models.cnn import SmallCNN
from medray.models.gatedgcn import GatedGCN
from medray.models.resnet18 import ResNet18
from medray.samples.batch import Batch
from medray.scoring.explain import layer_cam, node_cam, paint
from medray.settings import OptimizerSettings
from medray.training.fit import start_training, train_epoch
from medray.training.task import Classify
from tests.models.region_graphs import Inputs, join, random_graph
from tests.training.planted import SIDE, image_batches, square_images

TASK = Classify(("no", "yes"))
GRID = 7


def grid_graph(image: Tensor) -> Inputs:
    """Blocks of 4 x 4 pixels (mean and standard deviation) and their four neighbours."""
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
    x = torch.stack([blocks.mean(1), blocks.std(1)], dim=1)
    return {
        "x": x,
        "edge_index": edge_index,
        "edge_attr": x[edge_index[0]] - x[edge_index[1]],
        "batch": torch.zeros(GRID * GRID, dtype=torch.int64),
        "num_graphs": 1,
    }


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


def hits(heats: list[np.ndarray], corners: Tensor) -> int:
    """Pointing game (Zhang et al. 2018): is the hottest pixel on the square, or within 3 pixels of it?"""
    found = 0
    for heat, corner in zip(heats, corners.numpy(), strict=True):
        peak = np.array(np.unravel_index(heat.argmax(), heat.shape))
        found += bool(((peak >= corner - 3) & (peak < corner + SIDE + 3)).all())
    return found


def test_layer_cam_points_at_the_square_in_eight_of_ten() -> None:
    images, _, corners = square_images(20, seed=1)
    heats = [layer_cam(trained_cnn(), image, 1) for image in images[1::2]]
    assert hits(heats, corners[1::2]) >= 8


def test_node_cam_points_at_the_square_in_eight_of_ten() -> None:
    images, _, corners = square_images(20, seed=1)
    label_map = np.arange(GRID * GRID).reshape(GRID, GRID).repeat(4, 0).repeat(4, 1)
    heats = [paint(label_map, node_cam(trained_gatedgcn(), grid_graph(image), 1)) for image in images[1::2]]
    assert hits(heats, corners[1::2]) >= 8


def test_heat_has_the_size_of_the_image_and_runs_from_zero_to_one() -> None:
    heat = layer_cam(trained_cnn(), torch.randn(1, 40, 61))
    assert heat.shape == (40, 61)
    assert heat.min() >= 0 and heat.max() <= 1


def test_no_class_given_means_the_most_probable_one() -> None:
    images, labels, _ = square_images(4, seed=2)
    for image, label in zip(images, labels.tolist(), strict=True):
        assert np.array_equal(layer_cam(trained_cnn(), image), layer_cam(trained_cnn(), image, label))
        graph = grid_graph(image)
        assert np.array_equal(node_cam(trained_gatedgcn(), graph), node_cam(trained_gatedgcn(), graph, label))


@pytest.mark.parametrize("name", [name for name, family in MODELS.items() if family.input_kind == "graph"])
def test_every_graph_network_is_explained(name: str) -> None:
    torch.manual_seed(0)
    graph, model = random_graph(12, 0), build_model(name, num_classes=2, node_features=5, edge_features=3)
    heats = [node_cam(model, graph, label) for label in (0, 1)]
    assert all(heat.shape == (12,) and heat.min() >= 0 for heat in heats)
    assert max(heat.max() for heat in heats) == 1
    assert not np.array_equal(*heats)


@pytest.mark.parametrize("size", [28, 96])
def test_resnet18_is_explained_too_and_twice_the_same(size: int) -> None:
    torch.manual_seed(0)
    model, image = ResNet18(3, 2, size=size), torch.randn(3, size, size)
    first = layer_cam(model, image, 0)
    assert first.shape == (size, size)
    assert first.max() == 1
    assert np.array_equal(layer_cam(model, image, 0), first)


def test_explaining_leaves_no_trace_in_the_model() -> None:
    model = SmallCNN(1, 2).train()
    layer_cam(model, torch.randn(1, 28, 28))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.cam_layer._forward_hooks


def test_frozen_weights_and_inference_mode_outside_do_not_matter() -> None:
    image = square_images(2)[0][1]
    expected = layer_cam(trained_cnn(), image, 1)
    with torch.no_grad():
        assert np.array_equal(layer_cam(trained_cnn(), image, 1), expected)


def share_on_square(model: SmallCNN) -> float:
    images, _, corners = square_images(20, seed=3)
    shares = []
    for image, (row, column) in zip(images[1::2], corners[1::2].tolist(), strict=True):
        heat = layer_cam(model, image, 1)
        shares.append(heat[max(row - 3, 0) : row + SIDE + 3, max(column - 3, 0) : column + SIDE + 3].sum() / heat.sum())
    return float(np.mean(shares))


def test_heat_gathers_on_the_square_by_training_and_not_by_its_brightness() -> None:
    """Randomised weights as the sanity check of Adebayo et al. 2018."""
    untrained = []
    for seed in range(4):
        torch.manual_seed(seed)
        untrained.append(share_on_square(SmallCNN(1, 2)))
    assert share_on_square(trained_cnn()) > np.mean(untrained) + 0.15


def test_paint_gives_each_pixel_the_score_of_its_region() -> None:
    painted = paint(np.array([[0, 1], [2, -1]]), np.array([0.5, 1.0, 0.25], np.float32))
    assert painted.tolist() == [[0.5, 1.0], [0.25, 0.0]]
