"""Bundles whose weights are as they were drawn: what a model answers matters less than that it answers the same."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe
from medray.label_settings import TaskName
from medray.models.catalog import build_model
from medray.samples.tables import InputKind
from medray.settings import RaySettings, Recipe, ScoreSettings
from medray.training.bundle import Bundle, save_bundle

RECIPE = Recipe(size=32, graph=GraphRecipe(regions=40))
KINDS: dict[str, InputKind] = {"cnn": "image", "resnet18": "image", "vig": "image", "hybrid": "regions"}


def drawn_bundle(folder: Path, name: str, task: TaskName = "classify") -> str:
    """A bundle of two classes in the folder; its place."""
    kind = KINDS.get(name, "graph")
    widths = {"node_features": 0, "edge_features": 0}
    if kind != "image":
        features = (node_feature_names(RECIPE.graph), edge_feature_names(RECIPE.graph))
        widths = dict(zip(widths, map(len, features), strict=True))
    torch.manual_seed(0)
    model = build_model(name, num_classes=2, in_channels=1, task=task, **widths)
    bundle = Bundle(name, {}, kind, 1, **widths, classes=("no", "yes"), recipe=RECIPE, seed=0, task=task)
    save_bundle(str(folder), bundle, model)
    return str(folder)


def drawn_scoring(index: Path, folder: Path) -> Callable[..., ScoreSettings]:
    """`drawn_scoring(index, folder)(out, **changed)`: settings that score an index by such a CNN, in several units."""
    ray = RaySettings(unit_bytes=2 * 2**20)
    settings = ScoreSettings(str(index), "", drawn_bundle(folder / "bundle", "cnn"), actors=1, ray=ray)
    return lambda out, **more: replace(settings, out=str(out), **more)
