"""docs/recipes/pneumonia-*.yaml on the real chest X-rays (PneumoniaMNIST, official split), two seeds each.

Published on the same test images: ResNet-18, 11 million parameters, accuracy 0.854, AUROC 0.944 (MedMNIST v2).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_region_graph
from medray.graphs.features import edge_feature_names
from medray.image_settings import GraphRecipe
from medray.models.catalog import build_model
from medray.samples.batch import Batch
from medray.settings import OptimizerSettings
from medray.training.fit import TrainingData, evaluate, figures, fit, start_training
from medray.training.seeding import seed_everything
from medray.training.task import Classify, inverse_frequency

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"


def image_inputs(images: np.ndarray, _recipe: dict[str, Any]) -> Callable[[np.ndarray], dict[str, Any]]:
    return lambda chosen: {"image": torch.from_numpy(images[chosen])}


def graph_inputs(images: np.ndarray, recipe: dict[str, Any]) -> Callable[[np.ndarray], dict[str, Any]]:
    graph_recipe = GraphRecipe(**recipe["graph"])
    table = graphs_to_arrow([build_region_graph(image, graph_recipe) for image in images])

    def collate(chosen: np.ndarray) -> dict[str, Any]:
        arrays = collate_arrow(table.take(chosen), edge_feature_names(graph_recipe))
        names = ("x", "edge_index", "edge_attr", "batch")
        return {name: torch.from_numpy(arrays[name]) for name in names} | {"num_graphs": len(chosen)}

    return collate


INPUTS = {"cnn": image_inputs, "gatedgcn": graph_inputs}


@dataclass
class Side:
    """One side of the official split."""

    labels: np.ndarray
    collate: Callable[[np.ndarray], dict[str, Any]]

    def batches(self, order: np.ndarray | None = None) -> Iterator[Batch]:
        order = np.arange(len(self.labels)) if order is None else order
        for start in range(0, len(order), 64):
            chosen = order[start : start + 64]
            yield Batch(self.collate(chosen), torch.from_numpy(self.labels[chosen]), [str(k) for k in chosen])


def read_sides(folder: Path, name: str, recipe: dict[str, Any]) -> dict[str, Side]:
    sides = {}
    with np.load(folder / "pneumoniamnist" / "pneumoniamnist.npz") as archive:
        for side in ("train", "val", "test"):
            images = archive[f"{side}_images"].astype(np.float32)[:, None]
            images = (images - images.mean((2, 3), keepdims=True)) / images.std((2, 3), keepdims=True)
            labels = archive[f"{side}_labels"].ravel().astype(np.int64)
            sides[side] = Side(labels, INPUTS[name](images, recipe))
    return sides


def train(name: str, sides: dict[str, Side], settings: OptimizerSettings, seed: int) -> dict[str, float]:
    """Figures on the test side, at the most probable class."""
    training, first = sides["train"], sides["train"].collate(np.arange(1))
    seed_everything(seed)
    widths = (
        {"node_features": first["x"].shape[1], "edge_features": first["edge_attr"].shape[1]} if "x" in first else {}
    )
    steps = -(-len(training.labels) // 64)
    state = start_training(build_model(name, num_classes=2, **widths), settings, steps, seed=seed)
    task = Classify(("normal", "pneumonia"), inverse_frequency(np.bincount(training.labels).tolist()))

    def epoch_batches(epoch: int) -> Iterator[Batch]:
        return training.batches(np.random.default_rng((seed, epoch)).permutation(len(training.labels)))

    data = TrainingData(epoch_batches, sides["val"].batches)
    fit(state, task, data, settings, device="cpu", on_epoch=lambda _: None)
    return figures(evaluate(state.model, sides["test"].batches(), task, device="cpu"), task)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "accuracy", "auroc"), [("cnn", 0.85, 0.95), ("gatedgcn", 0.84, 0.94)])
def test_fifteen_thousand_parameters_reach_the_published_resnet(
    medray_data: Path, name: str, accuracy: float, auroc: float
) -> None:
    recipe = yaml.safe_load((RECIPES / f"pneumonia-{name}.yaml").read_text())
    sides = read_sides(medray_data, name, recipe["recipe"])
    results = [train(name, sides, OptimizerSettings(**recipe["optimizer"]), seed) for seed in range(2)]
    print(name, [{key: round(value, 4) for key, value in result.items()} for result in results])
    assert np.mean([result["accuracy"] for result in results]) >= accuracy
    assert np.mean([result["auroc"] for result in results]) >= auroc
