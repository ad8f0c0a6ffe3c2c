"""What the settings of a training make of its model."""

from typing import Any

from medray.errors import SettingsError
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.models.catalog import model_family
from medray.settings import TrainSettings


def model_inputs(settings: TrainSettings) -> dict[str, Any]:
    """Widths, task and options, given or decided by the recipe, as keyword arguments of `build_model`."""
    family = model_family(settings.model)
    graph = family.input_kind != "image"
    return {
        "in_channels": settings.recipe.channels,
        "node_features": len(node_feature_names(settings.recipe.graph, settings.recipe.channels)) if graph else 0,
        "edge_features": len(edge_feature_names(settings.recipe.graph)) if graph else 0,
        "task": settings.task,
        "options": {**settings.network.given(), **family.options_for(settings.recipe), **_readout(settings)},
    }


def _readout(settings: TrainSettings) -> dict[str, str]:
    """How frames become one answer, where a sample has several."""
    given = settings.network.frame_readout
    if settings.recipe.sample.is_set:
        return {"frame_readout": given or "attention"}
    if given:
        raise SettingsError(
            "--network.frame_readout is of samples of several frames.", "See --recipe.sample.of: clip, series or study."
        )
    return {}
