"""medray/scoring/explain_checks.py: a method that ignores the model is caught, and curves are those of hand."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from medray.scoring.explain import explain
from medray.scoring.explain_checks import STEPS, faithfulness, randomisation_check, randomised, rank_correlation
from tests.scoring.planted import planted, trained_cnn
from tests.training.planted import square_images

KINDS = ["image", "graph", "regions"]


def with_square(kind: str, seed: int = 7, count: int = 4) -> list:
    images = square_images(2 * count, seed=seed)[0][1::2]
    return [planted(kind, image)[1] for image in images]


def model_of(kind: str) -> nn.Module:
    return planted(kind, torch.zeros(1, 28, 28))[0]


@pytest.mark.parametrize("kind", KINDS)
def test_brightness_keeps_its_ranks_under_random_weights_and_is_caught(kind: str) -> None:
    check = randomisation_check(model_of(kind), with_square(kind)[0], "brightness", 1)
    assert [value for _, value in check] == pytest.approx([1.0] * len(check))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["cam", "integrated_gradients", "occlusion"])
def test_heat_falls_with_the_weights(method: str, kind: str) -> None:
    """Adebayo et al. 2018: with all weights random, little of the order of the heat may stay."""
    ends = [
        randomisation_check(model_of(kind), inputs, method, 1, seed=seed)[-1][1]
        for seed, inputs in enumerate(with_square(kind))
    ]
    assert np.mean(ends) < 0.6


def test_layers_are_randomised_from_the_head_down_and_the_model_itself_stays() -> None:
    model = trained_cnn()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = []
    for name, changed in randomised(model):
        names.append(name)
        drawn, trained = changed.get_parameter(f"{name}.weight").detach(), before[f"{name}.weight"]
        assert not torch.equal(drawn, trained)
        assert float(drawn.std()) == pytest.approx(float(trained.std()), rel=0.5)
    assert names[0] == "head.3" and names[-1] == "blocks.0.conv" and len(names) == 10
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


class Bright(nn.Module):
    """The logit of class 1 is the sum of what lies above 5."""

    def forward(self, image: Tensor) -> Tensor:
        total = image.clamp(min=5).sub(5).sum((1, 2, 3))
        return torch.stack([torch.zeros_like(total), total], dim=1)


def test_curves_of_one_bright_pixel_are_those_of_hand() -> None:
    image = torch.zeros(1, 1, 10, 10)
    image[0, 0, 4, 6] = 5 + np.log(3)  # probability 0.75 with it, 0.5 without
    heat = (image[0, 0] / image.max()).numpy()
    found = faithfulness(Bright(), {"image": image}, heat, 1)
    assert found.insertion == pytest.approx([0.5] + [0.75] * STEPS)
    assert found.deletion == pytest.approx([0.75] + [0.5] * STEPS)
    last = faithfulness(Bright(), {"image": image}, 1 - heat, 1)
    assert last.insertion == pytest.approx([0.5] * STEPS + [0.75])
    assert found.areas == pytest.approx((0.75 - 0.125 / STEPS, 0.5 + 0.125 / STEPS))


@pytest.mark.parametrize("kind", KINDS)
def test_curves_run_between_the_blank_and_the_whole_sample(kind: str) -> None:
    model, inputs = model_of(kind), with_square(kind)[0]
    found = faithfulness(model, inputs, explain(model, inputs, "cam", 1), 1)
    with torch.no_grad():
        whole = float(torch.softmax(model(**inputs), 1)[0, 1])
    assert (found.insertion[-1], found.deletion[0]) == pytest.approx((whole, whole), abs=1e-6)
    assert found.insertion[0] == pytest.approx(found.deletion[-1], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_uncovering_what_is_hot_beats_uncovering_it_last(kind: str) -> None:
    model = model_of(kind)
    for inputs in with_square(kind):
        heat = explain(model, inputs, "occlusion", 1)
        assert faithfulness(model, inputs, heat, 1).areas[0] > faithfulness(model, inputs, 1 - heat, 1).areas[0]


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 5, (2, 6, 7)).astype(np.float32)  # ties
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert rank_correlation(one, np.zeros_like(one)) == 0.0
