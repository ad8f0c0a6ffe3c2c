"""medray/scoring/explain_methods.py: evidence against its axioms and against a linear model by hand."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.image_settings import GraphRecipe
from medray.samples.collate import graph_inputs
from medray.scoring.explain_methods import brightness, integrated_gradients, node_cam, occlusion
from medray.scoring.probe import Probe
from medray.settings import Recipe
from tests.models.region_graphs import random_graph, tensor
from tests.models.test_hybrid import drawn
from tests.scoring.planted import planted
from tests.training.planted import square_images


class LinearImage(nn.Module):
    """Logits that are weighted sums of an image's values."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, *shape, generator=torch.Generator().manual_seed(3)))

    def forward(self, image: Tensor) -> Tensor:
        return torch.einsum("bcyx,kcyx->bk", image, self.weight)


class LinearGraph(nn.Module):
    """Logits that are sums over the nodes of a linear map of their features."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, features, generator=torch.Generator().manual_seed(3)))

    def embed(self, x: Tensor) -> Tensor:
        return x @ self.weight.T

    def read_out(self, embedding: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
        return embedding.new_zeros(num_graphs, 2).index_add(0, batch, embedding)

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor, batch: Tensor, num_graphs: int) -> Tensor:
        return self.read_out(self.embed(x), batch, num_graphs)


class LinearBoth(LinearGraph):
    """The sum of a linear map of the nodes and of one of the pixels."""

    def __init__(self, features: int, *shape: int) -> None:
        super().__init__(features)
        self.image = LinearImage(*shape)

    def forward(self, image: Tensor, regions: Tensor, **graph) -> Tensor:  # type: ignore[override]
        return super().forward(**graph) + self.image(image)


@pytest.fixture
def linear_both() -> Probe:
    return Probe(LinearBoth(5, 1, 8, 8), drawn(6, 0))


@pytest.fixture
def linear_image() -> Probe:
    image = torch.randn(1, 3, 33, 20, generator=torch.Generator().manual_seed(1))
    return Probe(LinearImage(3, 33, 20), {"image": image})


@pytest.fixture
def linear_graph() -> Probe:
    return Probe(LinearGraph(5), random_graph(40, seed=1))


def trained_probes() -> list[Probe]:
    image = square_images(2, seed=5)[0][1]
    return [Probe(*planted(kind, image)) for kind in ("image", "graph", "regions")]


def whole_and_blank(probe: Probe) -> tuple[float, float]:
    """The logit of the class with the square: of the sample, and with every place hidden, pixels and features."""
    hidden = torch.stack([torch.zeros(probe.places), torch.ones(probe.places)]).bool()
    whole, blank = probe.answers(hidden)[:, 1].tolist()
    return whole, blank


def test_a_blank_image_is_scipys_blur_and_a_blank_graph_is_its_mean(linear_image, linear_graph) -> None:
    by_scipy = [gaussian_filter(plane, 33 / 16, mode="nearest", radius=7) for plane in linear_image.values.numpy()]
    np.testing.assert_allclose(linear_image.blank.numpy(), by_scipy, atol=1e-5)
    torch.testing.assert_close(linear_graph.blank[7], linear_graph.values.mean(0))


@pytest.mark.parametrize("number", [0, 1, 2], ids=["cnn", "gatedgcn", "hybrid"])
def test_integrated_gradients_sum_to_the_difference_of_the_logits(number: int) -> None:
    """Completeness: Sundararajan et al. 2017, proposition 1, to 2 %."""
    probe = trained_probes()[number]
    whole, blank = whole_and_blank(probe)
    total = float(integrated_gradients(probe, 1).sum())
    assert abs(whole - blank) > 1
    assert total == pytest.approx(whole - blank, rel=0.02)


def test_integrated_gradients_of_a_linear_model_are_weight_times_way(linear_image, linear_graph) -> None:
    expected = (linear_image.model.weight[1] * (linear_image.values - linear_image.blank)).sum(0)
    torch.testing.assert_close(integrated_gradients(linear_image, 1), expected.detach(), atol=1e-5, rtol=0)
    x, weight = linear_graph.values, linear_graph.model.weight[0]
    expected = ((x - x.mean(0)) * weight).sum(1)
    torch.testing.assert_close(integrated_gradients(linear_graph, 0), expected.detach(), atol=1e-5, rtol=0)


def test_integrated_gradients_of_a_linear_model_of_both_are_those_of_the_node_and_of_its_pixels(linear_both) -> None:
    graph, model = linear_both.inputs, linear_both.model
    of_pixels = (model.image.weight[1] * (tensor(graph, "image")[0] - linear_both.blank_image)).sum(0).detach()
    x, regions = linear_both.values, tensor(graph, "regions")[0]
    expected = ((x - x.mean(0)) * model.weight[1]).sum(1).detach()
    for node in range(6):
        expected[node] += of_pixels[regions == node].sum()
    torch.testing.assert_close(integrated_gradients(linear_both, 1), expected, atol=1e-5, rtol=0)


def test_evidence_of_a_painted_heat_sums_to_the_difference_where_regions_share_it_evenly() -> None:
    """Completeness on the pixels: each has its region's evidence over the region's area."""
    probe = trained_probes()[2]
    evidence, regions = integrated_gradients(probe, 1), tensor(probe.inputs, "regions")[0]
    painted = (evidence / torch.bincount(regions.flatten(), minlength=len(evidence)))[regions]
    whole, blank = whole_and_blank(probe)
    assert float(painted.sum()) == pytest.approx(whole - blank, rel=0.02)


def test_occlusion_of_a_linear_image_model_is_the_patch_by_hand(linear_image) -> None:
    found = occlusion(linear_image, 1).numpy()
    assert found.shape == (11, 10)  # patches of 3 rows and 2 columns: at most 16 along each side
    way = (linear_image.values - linear_image.blank).numpy()
    by_hand = (linear_image.model.weight[1].detach().numpy() * way).sum(0).reshape(11, 3, 10, 2).sum((1, 3))
    np.testing.assert_allclose(found, by_hand, atol=1e-4)


def test_occlusion_of_a_linear_graph_model_is_the_node_by_hand(linear_graph) -> None:
    x, weight = linear_graph.values, linear_graph.model.weight[1]
    by_hand = ((x - x.mean(0)) @ weight).detach()
    torch.testing.assert_close(occlusion(linear_graph, 1), by_hand, atol=1e-5, rtol=0)


def test_node_cam_of_a_sum_is_each_nodes_own_share(linear_graph) -> None:
    torch.testing.assert_close(node_cam(linear_graph, 0), linear_graph.model.embed(linear_graph.values)[:, 0].detach())


def test_node_occlusion_is_one_graph_at_a_time() -> None:
    """The copies of a batch do not see one another: each drop equals that of a graph of its own."""
    probe = trained_probes()[1]
    together = occlusion(probe, 1)
    with torch.no_grad():
        whole = probe.model(**probe.inputs)[0, 1]
        for node in (0, 20, 48):
            x = probe.values.clone()
            x[node] = x.mean(0)
            alone = whole - probe.model(**{**probe.inputs, "x": x})[0, 1]
            assert float(together[node]) == pytest.approx(float(alone), abs=1e-5)


def test_scores_go_with_their_nodes_when_nodes_are_numbered_anew() -> None:
    probe = trained_probes()[1]
    order = torch.randperm(49, generator=torch.Generator().manual_seed(2))
    place = torch.argsort(order)
    edge_index = place[tensor(probe.inputs, "edge_index")]
    by_target = torch.argsort(edge_index[1], stable=True)
    moved = {
        **probe.inputs,
        "x": probe.values[order],
        "edge_index": edge_index[:, by_target],
        "edge_attr": tensor(probe.inputs, "edge_attr")[by_target],
    }
    for way in (node_cam, integrated_gradients, occlusion):
        torch.testing.assert_close(way(Probe(probe.model, moved), 1), way(probe, 1)[order], atol=1e-5, rtol=1e-4)


def test_brightness_of_a_graph_is_the_mean_of_each_region_above_the_darkest() -> None:
    image, recipe = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32), GraphRecipe(regions=20)
    inputs = graph_inputs(graphs_to_arrow([build_region_graph(image, recipe)]), Recipe(graph=recipe))
    labels = superpixel_labels(image, recipe)
    means = np.array([image[0][labels == node].mean() for node in range(labels.max() + 1)])
    found = brightness(Probe(nn.Identity(), inputs), 0).numpy()
    np.testing.assert_allclose(found, means - means.min(), atol=1e-5)
