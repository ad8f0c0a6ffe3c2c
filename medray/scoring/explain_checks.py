"""Whether heat says anything: it must fall with the model's weights, and hiding what is hot must change the answer."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import rankdata
from torch import Tensor, nn

from medray.samples.batch import Inputs
from medray.scoring.explain import Heat, enlarge, explain
from medray.scoring.probe import Probe, evaluating

STEPS = 20
"""Shares of the sample that the curves of insertion and deletion stop at, beside none."""
STAGES = 6
"""Models between the trained and the fully randomised one that are explained, at the most."""

Curve = Float64[np.ndarray, " points"]


@dataclass(frozen=True)
class Faithfulness:
    """The class's probability while a sample is uncovered, and while it is covered, its hottest places first.

    Attributes:
        insertion: by the share shown, from none to all.
        deletion: by the share hidden, from none to all.
    """

    insertion: Curve
    deletion: Curve

    @property
    def areas(self) -> tuple[float, float]:
        """Mean of each curve: high is good for insertion, low for deletion."""
        return float(np.trapezoid(self.insertion) / STEPS), float(np.trapezoid(self.deletion) / STEPS)


def faithfulness(model: nn.Module, inputs: Inputs, heat: Heat, class_number: int) -> Faithfulness:
    """Insertion and deletion curves of one sample's heat; places of equal heat go in their order.

    Args:
        model: that made the heat, or another.
        inputs: the sample, as in `Batch.inputs`.
        heat: from `explain`.
        class_number: the class that it explains.

    Source: Petsiuk et al. 2018 (arXiv:1806.07421), 4; what is hidden is the blank sample of `Probe`.
    """
    probe = Probe(model, inputs)
    places = heat if probe.is_graph else enlarge(heat, _two(probe.places))
    rank = np.empty(places.size, np.int64)
    rank[np.argsort(-places.ravel(), kind="stable")] = np.arange(places.size)
    counts = np.rint(np.arange(STEPS + 1) / STEPS * places.size)
    hottest = torch.from_numpy(rank.reshape(places.shape) < counts.reshape(-1, *[1] * places.ndim))
    hottest = hottest.to(probe.values.device)
    with evaluating(model):
        insertion, deletion = (_chances(probe, hidden, class_number) for hidden in (~hottest, hottest))
    return Faithfulness(insertion, deletion)


def _two(places: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = places
    return rows, columns


def _chances(probe: Probe, hidden: Tensor, class_number: int) -> Curve:
    chances = torch.softmax(probe.answers(hidden).double(), dim=1)[:, class_number]
    curve: Curve = chances.cpu().numpy()
    return curve


def randomised(model: nn.Module, *, seed: int = 0) -> Iterator[tuple[str, nn.Module]]:
    """Copies of a model whose weights are drawn anew from the head down, one layer more each time; with its name.

    Weights are normal, with the mean and the standard deviation of the trained ones of their tensor: of another model
    of the same size, not of one that answers nothing. Running statistics stay.

    Source: Adebayo et al. 2018 (arXiv:1810.03292), 3.1, cascading randomisation.
    """
    changed = copy.deepcopy(model).eval()
    drawn = torch.Generator().manual_seed(seed)
    for name, layer in reversed(list(changed.named_modules())):
        weights = list(layer.parameters(recurse=False))
        for weight in weights:
            noise = torch.randn(weight.shape, generator=drawn).to(weight.device)
            weight.data = weight.mean() + weight.std(correction=0) * noise
        if weights:
            yield name, changed


def randomisation_check(
    model: nn.Module, inputs: Inputs, method: str, class_number: int, *, seed: int = 0
) -> list[tuple[str, float]]:
    """Rank correlation of the heat with that of ever more randomised models, at STAGES of them at the most.

    Returns:
        (lowest layer whose weights are random, Spearman's correlation), from the head down to all weights. Near 1 at
        the end, the heat does not depend on what the model has learnt.
    """
    trained = explain(model, inputs, method, class_number)
    layers = [name for name, module in model.named_modules() if list(module.parameters(recurse=False))]
    stops = {round(stop) for stop in np.linspace(0, len(layers) - 1, STAGES)}
    return [
        (name, rank_correlation(trained, explain(other, inputs, method, class_number)))
        for number, (name, other) in enumerate(randomised(model, seed=seed))
        if number in stops
    ]


def rank_correlation(one: Heat, other: Heat) -> float:
    """Spearman's rank correlation; 0 where one of the two is the same everywhere, and so ranks nothing."""
    ranks = np.stack([rankdata(heat.ravel()) for heat in (one, other)])
    ranks -= ranks.mean(axis=1, keepdims=True)
    scale = np.sqrt((ranks**2).sum(axis=1).prod())
    return float((ranks[0] * ranks[1]).sum() / scale) if scale else 0.0
