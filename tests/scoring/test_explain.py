"""medray/scoring/explain.py: a bright square decides the class, so the heat must lie on it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from medray.errors import SettingsError
from medray.models.catalog import MODELS, build_model
from medray.models.cnn import SmallCNN
from medray.models.resnet18 import ResNet18
from medray.scoring.explain import METHODS, enlarge, explain, from_levels, paint, to_levels
from medray.scoring.probe import Probe
from tests.models.region_graphs import random_graph, tensor
from tests.models.test_hybrid import drawn
from tests.scoring.planted import BLOCKS, planted, trained_cnn
from tests.training.planted import SIDE, square_images

WAYS = [method for method in METHODS["image"] if method != "brightness"]


def on_image(image: Tensor, method: str, kind: str) -> np.ndarray:
    """Heat of the class with the square, at the pixels."""
    model, inputs = planted(kind, image)
    heat = explain(model, inputs, method, 1)
    return enlarge(heat, (28, 28)) if kind == "image" else paint(BLOCKS.numpy(), heat)


def hits(heats: list[np.ndarray], corners: Tensor) -> int:
    """Pointing game (Zhang et al. 2018): is the hottest pixel on the square, or within 3 pixels of it?"""
    found = 0
    for heat, corner in zip(heats, corners.numpy(), strict=True):
        peak = np.array(np.unravel_index(heat.argmax(), heat.shape))
        found += bool(((peak >= corner - 3) & (peak < corner + SIDE + 3)).all())
    return found


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("method", WAYS)
def test_heat_points_at_the_square_in_eight_of_ten(method: str, kind: str) -> None:
    images, _, corners = square_images(20, seed=1)
    assert hits([on_image(image, method, kind) for image in images[1::2]], corners[1::2]) >= 8


@pytest.mark.parametrize("method", METHODS["image"])
def test_heat_runs_from_zero_to_one_and_is_at_most_32_by_32(method: str) -> None:
    heat = explain(trained_cnn(), {"image": torch.randn(1, 1, 40, 61)}, method)
    assert max(heat.shape) <= 32 and heat.ndim == 2
    assert heat.min() >= 0 and heat.max() == 1
    assert enlarge(heat, (40, 61)).shape == (40, 61)


def test_an_image_is_explained_as_finely_as_the_layer_or_the_patches_are() -> None:
    image = {"image": torch.randn(1, 1, 28, 28)}
    shapes = {method: explain(trained_cnn(), image, method).shape for method in METHODS["image"]}
    assert shapes == {
        "cam": (7, 7), "integrated_gradients": (28, 28), "occlusion": (14, 14), "brightness": (28, 28)
    }  # fmt: skip


def test_no_class_given_means_the_most_probable_one() -> None:
    images, labels, _ = square_images(4, seed=2)
    for image, label in zip(images, labels.tolist(), strict=True):
        for model, inputs in (planted(kind, image) for kind in METHODS):
            assert np.array_equal(explain(model, inputs), explain(model, inputs, "cam", label))


@pytest.mark.parametrize("name", [name for name, family in MODELS.items() if family.input_kind == "graph"])
def test_every_graph_network_is_explained(name: str) -> None:
    torch.manual_seed(0)
    graph, model = random_graph(12, 0), build_model(name, num_classes=2, node_features=5, edge_features=3)
    heats = [explain(model, graph, "cam", label) for label in (0, 1)]
    assert all(heat.shape == (12,) and heat.min() >= 0 for heat in heats)
    assert max(heat.max() for heat in heats) == 1
    assert not np.array_equal(*heats)


@pytest.mark.parametrize("size", [28, 96])
def test_resnet18_is_explained_too_and_twice_the_same(size: int) -> None:
    torch.manual_seed(0)
    model, image = ResNet18(3, 2, size=size), {"image": torch.randn(1, 3, size, size)}
    first = explain(model, image, "cam", 0)
    assert first.max() == 1
    assert np.array_equal(explain(model, image, "cam", 0), first)


@pytest.mark.parametrize("method", METHODS["image"])
def test_explaining_leaves_no_trace_in_the_model(method: str) -> None:
    model = SmallCNN(1, 2).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explain(model, {"image": torch.randn(1, 1, 28, 28)}, method)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.cam_layer._forward_hooks
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("method", WAYS)
def test_gradients_turned_off_outside_do_not_matter(method: str) -> None:
    image = {"image": square_images(2)[0][1][None]}
    expected = explain(trained_cnn(), image, method, 1)
    with torch.no_grad():
        assert np.array_equal(explain(trained_cnn(), image, method, 1), expected)


def test_paint_gives_each_pixel_the_score_of_its_region() -> None:
    painted = paint(np.array([[0, 1], [2, -1]]), np.array([0.5, 1.0, 0.25], np.float32))
    assert painted.tolist() == [[0.5, 1.0], [0.25, 0.0]]


def test_levels_are_heat_to_half_a_step() -> None:
    heat = np.linspace(0, 1, 1000, dtype=np.float32)
    assert np.abs(from_levels(to_levels(heat)) - heat).max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(to_levels(from_levels(np.arange(256, dtype=np.uint8))), np.arange(256))


def test_a_region_is_hidden_with_its_pixels() -> None:
    """Hybrid networks read both: nothing of a hidden region may come through its pixels."""
    torch.manual_seed(0)
    graph, model = drawn(6, 0), build_model("hybrid", num_classes=2, node_features=5, edge_features=3).eval()
    probe = Probe(model, graph)
    hidden = torch.eye(6, dtype=torch.bool)
    found = probe.answers(hidden)
    for node in range(6):
        inside = tensor(graph, "regions")[0] == node
        x, image = tensor(graph, "x").clone(), tensor(graph, "image").clone()
        x[node] = x.mean(0)
        image[0, 0][inside] = probe.blank_image[0][inside]
        with torch.no_grad():
            expected = model(**graph | {"x": x, "image": image})
        torch.testing.assert_close(found[node], expected[0], atol=1e-5, rtol=0)


def test_a_model_of_both_has_one_value_a_node_by_every_method() -> None:
    torch.manual_seed(0)
    graph, model = drawn(6, 0), build_model("hybrid", num_classes=2, node_features=5, edge_features=3)
    assert {method: explain(model, graph, method, 0).shape for method in METHODS["regions"]} == dict.fromkeys(
        METHODS["image"], (6,)
    )


def test_a_method_that_there_is_not_is_refused_with_the_list() -> None:
    with pytest.raises(SettingsError, match="no method 'saliency'.*cam, integrated_gradients, occlusion, brightness"):
        explain(trained_cnn(), {"image": torch.zeros(1, 1, 28, 28)}, "saliency")
