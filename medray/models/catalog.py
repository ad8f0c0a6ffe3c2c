"""The models by name."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from medray.errors import SettingsError
from medray.label_settings import TaskName
from medray.models.cnn import SmallCNN
from medray.models.deepsets import DeepSets
from medray.models.frame_pooling import FRAME_WIDTH, FramePooling
from medray.models.gat import GAT
from medray.models.gatedgcn import GatedGCN
from medray.models.gcn import GCN
from medray.models.gin import GIN
from medray.models.gps import GPS
from medray.models.graph_network import Answers, GraphNetwork
from medray.models.hybrid import HybridNet
from medray.models.pna import PNA
from medray.models.resnet18 import ResNet18
from medray.models.sage import SAGE
from medray.models.vig import PatchGraphNet
from medray.samples.tables import InputKind
from medray.settings import Recipe


@dataclass(frozen=True)
class ModelInputs:
    """What a model is built for: the widths of its input and of its answer, and what it answers for."""

    num_classes: int
    in_channels: int
    node_features: int
    edge_features: int
    task: TaskName = "classify"

    @property
    def answers(self) -> Answers:
        """Of a graph network: a segmentation has an answer for each node."""
        return "node" if self.task == "segment" else "graph"


@dataclass(frozen=True)
class ModelFamily:
    """A kind of model.

    Attributes:
        input_kind: what it reads: prepared images, region graphs, or both (`regions`).
        build: the model for inputs of given widths and options.
        options: names that `build` knows.
        options_for: the options that a recipe decides.
        tasks: what it can be trained for.
    """

    input_kind: InputKind
    build: Callable[[ModelInputs, dict[str, Any]], nn.Module]
    options: tuple[str, ...]
    options_for: Callable[[Recipe], dict[str, Any]] = lambda _: {}
    tasks: tuple[TaskName, ...] = ("classify",)


def _cnn(inputs: ModelInputs, options: dict[str, Any]) -> nn.Module:
    return SmallCNN(inputs.in_channels, inputs.num_classes, **options)


def _resnet18(inputs: ModelInputs, options: dict[str, Any]) -> nn.Module:
    return ResNet18(inputs.in_channels, inputs.num_classes, **options)


def _vig(inputs: ModelInputs, options: dict[str, Any]) -> nn.Module:
    return PatchGraphNet(inputs.in_channels, inputs.num_classes, **options)


GRAPH_OPTIONS = ("width", "layers", "dropout", "feed_forward", "readout", "encoding_steps")
BOTH_TASKS: tuple[TaskName, ...] = ("classify", "segment")


def _graph_family(network: type[GraphNetwork], options: tuple[str, ...] = GRAPH_OPTIONS) -> ModelFamily:
    def build(inputs: ModelInputs, options: dict[str, Any]) -> nn.Module:
        sizes = inputs.node_features, inputs.edge_features, inputs.num_classes
        return network(*sizes, answers=inputs.answers, **options)

    return ModelFamily("graph", build, options, tasks=BOTH_TASKS)


def _hybrid(inputs: ModelInputs, options: dict[str, Any]) -> nn.Module:
    sizes = inputs.node_features, inputs.edge_features, inputs.num_classes
    return HybridNet(*sizes, in_channels=inputs.in_channels, answers=inputs.answers, **options)


MODELS = {
    "cnn": ModelFamily("image", _cnn, ("widths", "hidden", "dropout")),
    "resnet18": ModelFamily("image", _resnet18, ("size",), lambda recipe: {"size": recipe.size}),
    "vig": ModelFamily("image", _vig, ("size", "width", "blocks", "dropout"), lambda recipe: {"size": recipe.size}),
    "deepsets": _graph_family(DeepSets),
    "gcn": _graph_family(GCN),
    "sage": _graph_family(SAGE),
    "gin": _graph_family(GIN),
    "gat": _graph_family(GAT, (*GRAPH_OPTIONS, "heads")),
    "gatedgcn": _graph_family(GatedGCN),
    "pna": _graph_family(PNA),
    "gps": _graph_family(GPS, ("width", "layers", "dropout", "readout", "encoding_steps", "heads")),
    "hybrid": ModelFamily("regions", _hybrid, (*GRAPH_OPTIONS, "stem"), tasks=BOTH_TASKS),
}


def model_family(name: str) -> ModelFamily:
    """The family of a model.

    Raises:
        SettingsError: no such model.
    """
    if name not in MODELS:
        raise SettingsError(f"There is no model {name!r}.", f"Choose one of {', '.join(MODELS)}.")
    return MODELS[name]


def _check_task(name: str, task: TaskName) -> None:
    if task not in MODELS[name].tasks:
        able = ", ".join(other for other, family in MODELS.items() if task in family.tasks)
        raise SettingsError(f"{name} answers for whole images and cannot {task}.", f"Choose one of {able}.")


def build_model(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 1,
    node_features: int = 0,
    edge_features: int = 0,
    task: TaskName = "classify",
    options: dict[str, Any] | None = None,
) -> nn.Module:
    """A fresh model; its weights come from torch's random state, those of convolutions lie with channels last.

    Args:
        name: a key of MODELS.
        num_classes: logits it answers.
        in_channels: channels of the prepared image; graph models do not read it.
        node_features: columns of `x`; image models do not read it.
        edge_features: columns of `edge_attr`; image models do not read it.
        task: `segment` for the logits of each node instead of each graph.
        options: keyword arguments of the model beyond its widths; with `frame_readout` it answers for several frames
            together (`FramePooling`).

    Raises:
        SettingsError: no such model or option, a model that does not do the task, or a width below one.
    """
    family = model_family(name)
    _check_task(name, task)
    options = dict(options or {})
    frame_readout = options.pop("frame_readout", None)
    if unknown := sorted(set(options) - set(family.options)):
        raise SettingsError(f"{name} has no option {unknown[0]!r}.", f"It knows {', '.join(family.options)}.")
    inputs = ModelInputs(num_classes, in_channels, node_features, edge_features, task)
    widths = [num_classes]
    widths += [in_channels] if family.input_kind != "graph" else []
    widths += [node_features, edge_features] if family.input_kind != "image" else []
    if min(widths) < 1:
        raise SettingsError(f"{name} cannot be built for widths {tuple(widths)}.", "Each must be 1 or more.")
    if frame_readout is None:
        return family.build(inputs, options).to(memory_format=torch.channels_last)
    frame_model = family.build(replace(inputs, num_classes=FRAME_WIDTH), options)
    return FramePooling(frame_model, num_classes, frame_readout).to(memory_format=torch.channels_last)
