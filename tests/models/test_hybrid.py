"""medray/models/hybrid.py."""

import pytest
import torch

from medray.models.hybrid import HybridNet
from tests.models.region_graphs import Inputs, join, random_graph, tensor


def drawn(nodes: int, seed: int) -> Inputs:
    """A graph with an image of 8 x 8 pixels, each of a random node."""
    made = torch.Generator().manual_seed(seed)
    regions = torch.cat([torch.arange(nodes), torch.randint(nodes, (64 - nodes,), generator=made)])
    image = torch.randn(1, 1, 8, 8, generator=made)
    return {**random_graph(nodes, seed), "image": image, "regions": regions.reshape(1, 8, 8)}


def together(graphs: list[Inputs]) -> Inputs:
    """Several of them as one batch."""
    first = [sum(tensor(graph, "x").shape[0] for graph in graphs[:k]) for k in range(len(graphs))]
    return {
        **join(graphs),
        "image": torch.cat([tensor(graph, "image") for graph in graphs]),
        "regions": torch.cat([tensor(g, "regions") + start for g, start in zip(graphs, first, strict=True)]),
    }


@pytest.fixture
def model() -> HybridNet:
    torch.manual_seed(0)
    return HybridNet(1, 5, 3, 2, stem=(4, 8), width=8, layers=2)


def test_a_graph_does_not_see_its_batch_in_evaluation(model: HybridNet) -> None:
    graphs = [drawn(nodes, nodes) for nodes in (5, 12, 30)]
    model.eval()
    alone = torch.cat([model(**graph) for graph in graphs])
    torch.testing.assert_close(model(**together(graphs)), alone, atol=1e-5, rtol=0)


def test_another_order_of_the_nodes_changes_nothing(model: HybridNet) -> None:
    graph, order = drawn(12, 1), torch.randperm(12, generator=torch.manual_seed(3))
    place = torch.argsort(order)  # where each node went
    edges = place[tensor(graph, "edge_index")]
    by_target = torch.argsort(edges[1] * 12 + edges[0])
    other = graph | {
        "x": tensor(graph, "x")[order],
        "edge_index": edges[:, by_target],
        "edge_attr": tensor(graph, "edge_attr")[by_target],
        "regions": place[tensor(graph, "regions")],
    }
    model.eval()
    torch.testing.assert_close(model(**other), model(**graph), atol=1e-5, rtol=0)


def test_regions_get_the_mean_and_maximum_of_their_pixels(model: HybridNet) -> None:
    graph, seen = drawn(6, 2), []
    model.eval().node_input.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    maps = model.stem(tensor(graph, "image"))[0]
    model(**graph)
    for node in range(6):
        inside = maps[:, tensor(graph, "regions")[0] == node]
        expected = torch.cat([tensor(graph, "x")[node], inside.mean(1), inside.amax(1)])
        torch.testing.assert_close(seen[0][node], expected, atol=1e-6, rtol=0)


def test_every_weight_gets_a_gradient(model: HybridNet) -> None:
    model(**together([drawn(5, 0), drawn(9, 1)])).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in model.parameters())
