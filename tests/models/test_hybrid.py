"""medray/models/hybrid.py."""

import pytest
import torch

from medray.models.hybrid import HybridNet, pool_regions
from tests.models.region_graphs import Inputs, join, random_graph, tensor


def drawn(nodes: int, seed: int, side: int = 8) -> Inputs:
    """A graph with an image of `side` x `side` pixels, each of a random node."""
    made = torch.Generator().manual_seed(seed)
    regions = torch.cat([torch.arange(nodes), torch.randint(nodes, (side**2 - nodes,), generator=made)])
    image = torch.randn(1, 1, side, side, generator=made)
    return {**random_graph(nodes, seed), "image": image, "regions": regions.reshape(1, side, side)}


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
    return HybridNet(5, 3, 2, stem=(4, 8), width=8, layers=2)


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


def test_a_graph_without_edges_and_a_region_without_pixels_are_answered(model: HybridNet) -> None:
    """Regions of the upper levels of `multiscale` have none: their pooled columns are 0."""
    graph = drawn(5, 0)
    bare = graph | {"edge_index": torch.empty(2, 0, dtype=torch.int64), "edge_attr": torch.empty(0, 3)}
    upper = graph | {"regions": tensor(graph, "regions") % 3}
    for inputs in (bare, upper, together([bare, drawn(1, 1), upper])):
        logits = model(**inputs)
        logits.square().sum().backward()
        assert logits.isfinite().all()
        assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
    pooled = pool_regions(torch.randn(1, 2, 8, 8), tensor(upper, "regions"), 5)
    assert torch.equal(pooled[3:], torch.zeros(2, 4)) and (pooled[:3] != 0).all()


def test_bfloat16_where_autocast_wants_it(model: HybridNet) -> None:
    graphs = together([drawn(9, 0), drawn(20, 1)])
    model(**graphs)
    plain = model.eval()(**graphs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(**graphs)
    torch.testing.assert_close(logits.float(), plain, atol=0.05, rtol=0.05)
    logits.float().square().sum().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())
