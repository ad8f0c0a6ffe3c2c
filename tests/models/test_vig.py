"""medray/models/vig.py."""

import pytest
import torch
from torch import Tensor

from medray.models.catalog import build_model
from medray.models.vig import GraphBlock, PatchGraphNet, max_relative


def neighbours(rows: int, columns: int, distance: int) -> list[tuple[int, int]]:
    """(source, target) of the static graph, nodes counted row by row."""
    steps = [(down, right) for down in (-distance, 0, distance) for right in (-distance, 0, distance)]
    return [
        ((row + down) * columns + column + right, row * columns + column)
        for row in range(rows)
        for column in range(columns)
        for down, right in steps
        if 0 <= row + down < rows and 0 <= column + right < columns and (down or right)
    ]


def edge_by_edge(nodes: Tensor, distance: int) -> Tensor:
    """Maximum over the edges that arrive of source less target, and 0 for the node itself."""
    batch, width, rows, columns = nodes.shape
    flat = nodes.reshape(batch, width, -1)
    found = torch.zeros_like(flat)
    for source, target in neighbours(rows, columns, distance):
        found[:, :, target] = torch.maximum(found[:, :, target], flat[:, :, source] - flat[:, :, target])
    return found.reshape(nodes.shape)


@pytest.mark.parametrize("distance", [1, 2, 4])
def test_the_dilated_maximum_is_the_maximum_over_the_edges(distance: int) -> None:
    nodes = torch.randn(2, 3, 5, 6, generator=torch.manual_seed(distance))
    torch.testing.assert_close(max_relative(nodes, distance), edge_by_edge(nodes, distance), atol=1e-6, rtol=0)


def test_the_update_is_pygs_message_passing_with_the_same_weights() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    block, nodes = GraphBlock(4, 2).eval(), torch.randn(1, 4, 5, 6)
    flat = nodes[0].reshape(4, -1).T
    edges = torch.tensor(neighbours(5, 6, 2) + [(k, k) for k in range(30)]).T
    relative = torch.nn.Sequential(block.update[0], block.update[1], block.update[2])
    largest = geometric.EdgeConv(Difference(), aggr="max")(flat, edges)
    both = torch.cat([flat, largest], dim=1).T.reshape(1, 8, 5, 6)
    expected = nodes + relative(both)
    expected = expected + block.feed_forward(expected)
    torch.testing.assert_close(block(nodes), expected, atol=1e-5, rtol=0)


class Difference(torch.nn.Module):
    """Of EdgeConv's pair (target, source - target), the second."""

    def forward(self, pair: Tensor) -> Tensor:
        return pair[:, pair.shape[1] // 2 :]


@pytest.mark.parametrize(("size", "patches"), [(16, 16), (28, 14), (41, 11), (83, 11), (128, 16), (224, 14), (256, 16)])
def test_the_stem_leaves_a_graph_of_a_few_hundred_patches(size: int, patches: int) -> None:
    model = PatchGraphNet(1, 2, size=size).eval()
    with torch.inference_mode():
        assert model.stem(torch.zeros(1, 1, size, size)).shape == (1, 48, patches, patches)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2), (33, 90)])
def test_images_of_any_shape_are_answered(shape: tuple[int, int], autocast: bool) -> None:
    """A border nearer than the neighbours leaves the node itself, in bfloat16 too."""
    torch.manual_seed(0)
    model, image = PatchGraphNet(1, 2, size=max(shape), width=8).eval(), torch.randn(2, 1, *shape)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = model(image)
    torch.testing.assert_close(logits.float(), model(image), atol=0.02 if autocast else 0, rtol=0)
    assert not torch.equal(logits[0], logits[1])


def test_it_has_the_weights_that_the_docs_name_and_each_gets_a_gradient() -> None:
    model = build_model("vig", num_classes=2, options={"size": 28})
    assert sum(weight.numel() for weight in model.parameters()) == 72_314
    model(image=torch.randn(4, 1, 28, 28)).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
