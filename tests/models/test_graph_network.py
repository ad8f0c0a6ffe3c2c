"""What holds for every graph network of the catalog, as it comes and with everything on."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medray.errors import SettingsError
from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.graphs.features import KINDS, edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe
from medray.models.catalog import MODELS, build_model
from medray.models.graph_network import GraphNetwork
from medray.samples.collate import graph_inputs
from medray.settings import Recipe
from tests.models.region_graphs import Inputs, join, random_graph, tensor

FAMILIES = [name for name, family in MODELS.items() if family.input_kind == "graph"]
OTHERS: dict[str, Any] = {"width": 8, "feed_forward": True, "readout": "attention", "encoding_steps": 5, "heads": 2}
UNREAD = ("deepsets", "gcn", "sage")
"""Families that do not read `edge_attr`."""
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
    assert torch.equal(model(**other_features), model(**graph)) == (name in UNREAD)
    assert torch.equal(model(**no_edges), model(**graph)) == (name == "deepsets")


def multiscale_graph() -> tuple[Inputs, list[str]]:
    """Regions of three levels as collate gives them, and the names of the columns of `edge_attr`."""
    recipe = GraphRecipe(builder="multiscale", regions=30)
    image = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32)
    inputs = graph_inputs(graphs_to_arrow([build_region_graph(image, recipe)]), Recipe(graph=recipe))
    return inputs, list(edge_feature_names(recipe))


@EVERY
def test_the_kind_of_an_edge_between_levels_counts_where_the_family_reads_edge_features(name: str) -> None:
    """A region hears of its parts and of what it is part of in different ways, or all neighbours alike."""
    graph, columns = multiscale_graph()
    assert columns[-2:] == list(KINDS)
    upward, downward = tensor(graph, "edge_attr")[:, -2:].T.bool()
    assert upward.sum() == downward.sum() > 20 and not (upward & downward).any() and not (upward | downward).all()
    swapped = torch.cat([tensor(graph, "edge_attr")[:, :-2], tensor(graph, "edge_attr")[:, -2:].flip(1)], dim=1)
    widths = {"node_features": len(node_feature_names(GraphRecipe())), "edge_features": len(columns)}
    torch.manual_seed(0)
    model = build_model(name, num_classes=3, **widths)
    model(**graph), model.eval()
    difference = (model(**{**graph, "edge_attr": swapped}) - model(**graph)).abs().max()
    assert difference == 0 if name in UNREAD else difference > 1e-3


def gradients(model: nn.Module, graph: Inputs) -> tuple[Tensor, ...]:
    """Of the first logit in double precision, by node features and every weight that has one."""
    x, edge_attr = tensor(graph, "x").double().requires_grad_(), tensor(graph, "edge_attr").double()
    wanted = [x, *model.parameters()]
    found = torch.autograd.grad(model(**{**graph, "x": x, "edge_attr": edge_attr})[0, 0], wanted, allow_unused=True)
    return tuple(torch.zeros_like(value) if grad is None else grad for value, grad in zip(wanted, found, strict=True))


@EVERY
def test_the_order_of_the_edges_of_a_node_does_not_matter(name: str) -> None:
    """Gradients either: a way that takes the k-th edge back for the way back of the k-th edge is right by chance."""
    graph, model = random_graph(20, 2), network(name).double()
    edge_index = tensor(graph, "edge_index")
    order = torch.argsort(20 * edge_index[1] - edge_index[0])
    other = graph | {"edge_index": edge_index[:, order], "edge_attr": tensor(graph, "edge_attr")[order]}
    for got, expected in zip(gradients(model, other), gradients(model, graph), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


@EVERY
@EVERY_FORM
@pytest.mark.parametrize("training", [False, True])
def test_bfloat16_where_autocast_wants_it(name: str, other: bool, training: bool) -> None:
    inputs, model = join([random_graph(30, 0), random_graph(40, 1)]), network(name, other).train(training)
    plain = model(**inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(**inputs)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), plain, atol=0.05, rtol=0.05)
    torch.autograd.backward(logits.float().square().sum())
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@EVERY
@EVERY_FORM
def test_graphs_without_edges_or_nodes_are_answered_beside_others(name: str, other: bool) -> None:
    """And gradients and running statistics stay finite, with edges in none of the graphs too."""
    alone: Inputs = {"edge_index": torch.empty(2, 0, dtype=torch.int64), "edge_attr": torch.empty(0, 3)}
    lonely = [random_graph(nodes, nodes) | alone for nodes in (4, 1)]
    empty = random_graph(1, 0) | alone | {"x": torch.empty(0, 5), "batch": torch.empty(0, dtype=torch.int64)}
    for graphs in ([*lonely, random_graph(9, 1), empty, random_graph(2, 3)], lonely):
        model = network(name, other).train()
        logits = model(**join(graphs))
        torch.autograd.backward(logits.square().sum())
        assert logits.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        assert all(value.isfinite().all() for value in model.state_dict().values())
    assert network(name, other)(**empty).isfinite().all()


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
