"""Bundles with weights as they were drawn, of any family: what a model answers matters less than that it answers."""

from pathlib import Path
from typing import Any

import torch

from medray.graphs.features import edge_feature_names, node_feature_names
from medray.models.catalog import build_model, model_family
from medray.settings import Recipe
from medray.training.bundle import Bundle, save_bundle

CLASSES = ("clear", "nodule")


def drawn_bundle(folder: Path | str, model: str, recipe: Recipe, seed: int = 0, **more: Any) -> Bundle:
    """Save a bundle in a folder or under a prefix of a store; the bundle as it was saved.

    `more` are attributes of it, such as `classes`.
    """
    torch.manual_seed(seed)
    kind = model_family(model).input_kind
    graph = kind != "image"
    widths = (len(node_feature_names(recipe.graph)) * graph, len(edge_feature_names(recipe.graph)) * graph)
    options = model_family(model).options_for(recipe)
    options |= {"frame_readout": "attention"} if recipe.sample.is_set else {}
    attributes: dict[str, Any] = {"classes": CLASSES, "recipe": recipe, "seed": seed, **more}
    bundle = Bundle(model, options, kind, 1, *widths, **attributes)
    network = build_model(
        model,
        num_classes=len(bundle.classes),
        in_channels=1,
        node_features=widths[0],
        edge_features=widths[1],
        task=bundle.task,
        options=options,
    )
    return save_bundle(str(folder), bundle, network)
