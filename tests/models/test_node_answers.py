"""What holds for every network of the catalog that answers for each node."""

from typing import Any

import pytest
import torch

from medray.errors import SettingsError
from medray.models.catalog import MODELS, build_model
from medray.models.graph_network import GraphNetwork
from tests.models.region_graphs import Inputs, join, random_graph, tensor
from tests.models.test_graph_network import FAMILIES, OTHERS, relabelled

EVERY = pytest.mark.parametrize("name", [*FAMILIES, "hybrid"])
EVERY_FORM = pytest.mark.parametrize("other", [False, True], ids=["plain", "others"])
SIDE = 12


def drawn(name: str, nodes: int, seed: int) -> Inputs:
    """A graph, and for the hybrid the image that it is of."""
    graph, draw = random_graph(nodes, seed), torch.Generator().manual_seed(seed)
    if name != "hybrid":
        return graph
    image = torch.randn(1, 1, SIDE, SIDE, generator=draw)
    return graph | {"image": image, "regions": torch.randint(nodes, (1, SIDE, SIDE), generator=draw)}


def joined(graphs: list[Inputs]) -> Inputs:
    """`region_graphs.join`, with images and regions."""
    batch, starts = join(graphs), [0]
    if "image" not in graphs[0]:
        return batch
    for graph in graphs:
        starts.append(starts[-1] + tensor(graph, "x").shape[0])
    regions = [tensor(graph, "regions") + start for graph, start in zip(graphs, starts, strict=False)]
    return batch | {"image": torch.cat([tensor(graph, "image") for graph in graphs]), "regions": torch.cat(regions)}


def network(name: str, other: bool = False) -> GraphNetwork:
    torch.manual_seed(0)
    options: dict[str, Any] = {key: value for key, value in OTHERS.items() if other and key in MODELS[name].options}
    model = build_model(name, num_classes=3, node_features=5, edge_features=3, task="segment", options=options)
    assert isinstance(model, GraphNetwork)
    model(**joined([drawn(name, 9, 5), drawn(name, 14, 6)]))
    return model.eval()


@EVERY
@EVERY_FORM
def test_logits_go_with_their_nodes(name: str, other: bool) -> None:
    graph, model = drawn(name, 20, 2), network(name, other)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    shuffled = relabelled(graph, order)
    if "regions" in graph:
        shuffled["regions"] = torch.argsort(order)[tensor(graph, "regions")]
    logits = model(**graph)
    assert logits.shape == (20, 3) and logits.std(dim=0).min() > 1e-4
    torch.testing.assert_close(model(**shuffled), logits[order], atol=1e-5, rtol=0)


@EVERY
@EVERY_FORM
def test_a_node_does_not_see_other_graphs_of_its_batch(name: str, other: bool) -> None:
    graphs, model = [drawn(name, nodes, nodes) for nodes in (2, 9, 30)], network(name, other)
    alone = torch.cat([model(**graph) for graph in graphs])
    torch.testing.assert_close(model(**joined(graphs)), alone, atol=1e-5, rtol=0)


@EVERY
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = network(name).train()
    torch.autograd.backward(model(**joined([drawn(name, 8, 0), drawn(name, 9, 1)])).square().sum())
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_a_node_knows_its_image() -> None:
    """Without edges, too, the answer for a node depends on the other nodes of its graph."""
    graph, model = random_graph(6, 0), network("deepsets")
    other = graph | {"x": torch.cat([tensor(graph, "x")[:1], tensor(graph, "x")[1:] + 1])}
    assert (model(**graph)[0] - model(**other)[0]).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["cnn", "resnet18", "vig"])
def test_a_model_of_whole_images_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name} answers for whole images and cannot segment.*deepsets.*hybrid"):
        build_model(name, num_classes=2, task="segment")
