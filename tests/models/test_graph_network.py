"""What holds for every graph network of the catalog, as it comes and with everything on."""

from typing import Any

import pytest
import torch
from torch import nn

from medray.errors import SettingsError
from medray.models.catalog import MODELS, build_model
from medray.models.graph_network import GraphNetwork
from tests.models.region_graphs import Inputs, join, random_graph, tensor

FAMILIES = [name for name, family in MODELS.items() if family.input_kind == "graph"]
OTHERS: dict[str, Any] = {"width": 8, "feed_forward": True, "readout": "attention", "encoding_steps": 5, "heads": 2}
EVERY = pytest.mark.parametrize("name", FAMILIES)
EVERY_FORM = pytest.mark.parametrize("other", [False, True], ids=["plain", "others"])


def network(name: str, other: bool = False, **more: Any) -> GraphNetwork:
    """A family as it comes, or with all that it may have beside that; its batch norms have seen a batch."""
    torch.manual_seed(0)
    options = {key: value for key, value in OTHERS.items() if other and key in MODELS[name].options}
    model = build_model(name, num_classes=3, node_features=5, edge_features=3, options=options | more)
    assert isinstance(model, GraphNetwork)
    model(**join([random_graph(9, 5), random_graph(14, 6)]))
    return model.eval()


def relabelled(graph: Inputs, order: torch.Tensor) -> Inputs:
    """The same graph with node order[k] in place k, and edges sorted as collate does."""
    edge_index = torch.argsort(order)[tensor(graph, "edge_index")]
    by_target = torch.argsort(edge_index[1] * len(order) + edge_index[0])
    return {
        **graph,
        "x": tensor(graph, "x")[order],
        "edge_index": edge_index[:, by_target],
        "edge_attr": tensor(graph, "edge_attr")[by_target],
    }


@EVERY
@EVERY_FORM
def test_the_order_of_nodes_does_not_matter(name: str, other: bool) -> None:
    graph, model = random_graph(20, 2), network(name, other)
    shuffled = relabelled(graph, torch.randperm(20, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(model(**shuffled), model(**graph), atol=1e-5, rtol=0)


@EVERY
@EVERY_FORM
def test_a_graph_does_not_see_its_batch_in_evaluation(name: str, other: bool) -> None:
    graphs, model = [random_graph(nodes, nodes) for nodes in (2, 9, 30)], network(name, other)
    alone = torch.cat([model(**graph) for graph in graphs])
    torch.testing.assert_close(model(**join(graphs)), alone, atol=1e-5, rtol=0)


@EVERY
@EVERY_FORM
def test_every_weight_gets_a_gradient_so_that_ddp_does_not_wait(name: str, other: bool) -> None:
    model = network(name, other).train()
    logits = model(**join([random_graph(8, 0), random_graph(9, 1)]))
    torch.autograd.backward(nn.functional.cross_entropy(logits, torch.tensor([0, 1])))
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


@EVERY
@EVERY_FORM
def test_a_single_region_without_neighbours_is_a_graph(name: str, other: bool) -> None:
    assert network(name, other)(**random_graph(1, 0)).isfinite().all()


def test_the_gradient_is_that_of_finite_differences() -> None:
    """In double precision, of the logits by node and edge features; `test_segments.py` has what other layers use."""
    model, graph = network("gps", layers=2, width=4).double(), random_graph(5, 3)
    x, edge_attr = (tensor(graph, key).double().requires_grad_() for key in ("x", "edge_attr"))
    edge_index, batch = tensor(graph, "edge_index"), tensor(graph, "batch")
    assert torch.autograd.gradcheck(lambda x, edges: model(x, edge_index, edges, batch, 1), (x, edge_attr), eps=1e-7)


@EVERY
def test_edges_and_their_features_count_where_the_family_reads_them(name: str) -> None:
    graph, model = random_graph(20, 2), network(name)
    other_features = {**graph, "edge_attr": 3 * tensor(graph, "edge_attr")}
    no_edges = {**graph, "edge_index": torch.empty(2, 0, dtype=torch.int64), "edge_attr": torch.empty(0, 3)}
    assert torch.equal(model(**other_features), model(**graph)) == (name in ("deepsets", "gcn", "sage"))
    assert torch.equal(model(**no_edges), model(**graph)) == (name == "deepsets")


def test_embed_without_batch_is_that_of_one_graph() -> None:
    graph, model = random_graph(12, 4), network("gps")
    x, edge_index, edge_attr, batch = (tensor(graph, key) for key in ("x", "edge_index", "edge_attr", "batch"))
    assert torch.equal(
        model.embed(x, edge_index, edge_attr), model.embed(x, edge_index, edge_attr, batch, num_graphs=1)
    )


def test_dropout_hides_features_in_training_alone() -> None:
    inputs, model = join([random_graph(9, 0), random_graph(8, 1)]), network("sage", dropout=0.5)
    assert torch.equal(model(**inputs), model(**inputs))
    model.train()
    assert not torch.equal(model(**inputs), model(**inputs))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 0}, "--network.width is 0, and must be 1 or more"),
        ({"layers": 0}, "--network.layers is 0, and must be 1 or more"),
        ({"dropout": 1.0}, "--network.dropout is 1.0, and must be 0 or more and below 1"),
        ({"readout": "sum"}, "--network.readout is sum, and must be mean_max or attention"),
        ({"encoding_steps": -1}, "--network.encoding_steps is -1, and must be 0 or more"),
        ({"heads": 0}, "--network.heads is 0, and must be 1 or more"),
        ({"width": 30, "heads": 4}, "--network.width is 30, and must be a multiple of the 4 heads"),
    ],
)
def test_an_option_that_makes_no_network_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        build_model("gat", num_classes=2, node_features=5, edge_features=3, options=options)
