"""Every network of the catalog that reads graphs, on PneumoniaMNIST's official split, beside the CNN: three seeds each.

    MEDRAY_DATA=… python benchmarks/graph_models.py [MODEL …]

All are trained on images augmented in the same way, for ten epochs, with the class weights of the training side; the
answer is the most probable class. Models that are not named keep the figures of an earlier run.
"""

import sys

import torch

from benchmarks.claim import XRAY, told
from benchmarks.claim_data import chest_sides
from benchmarks.results_writer import kept_result, write_result
from benchmarks.trials import Trial, repeat
from medray.image_settings import GraphRecipe
from medray.models.catalog import MODELS
from medray.settings import OptimizerSettings

SEEDS = range(3)
GRAPH = GraphRecipe(regions=81, position=True)
LEFT_OUT = ("resnet18",)
"""Eleven million weights: an hour of two cores. MedMNIST's published figures stand in the README."""
TARGET = {"accuracy": 0.88, "auroc": 0.965, "parameters": 100_000}


def main() -> None:
    """Train; say and keep each row as soon as it is there."""
    torch.set_num_threads(1)
    sides, optimizer = chest_sides(), OptimizerSettings(epochs=10, class_weights=True)
    for name in sys.argv[1:] or [name for name in MODELS if name not in LEFT_OUT]:
        trial = Trial(name, 28, graph=GRAPH, augment=XRAY, optimizer=optimizer)
        figures = told(name, repeat(trial, sides["train"], {"test": sides["test"]}, SEEDS))
        test = figures.pop("test")
        reached = test["accuracy"] >= TARGET["accuracy"] and test["auroc"] >= TARGET["auroc"]
        row = figures | test | {"reaches_target": reached and figures["parameters"] <= TARGET["parameters"]}
        rows = kept_result("graph_models") | {name: row}
        write_result("graph_models", {"target": TARGET, **{name: rows[name] for name in MODELS if name in rows}})


if __name__ == "__main__":
    main()
