"""Models trained in memory on arrays of prepared images: medray's own models, graphs, augmentation and loop, no Ray."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from sklearn.metrics import roc_auc_score

from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import AugmentSettings, GraphRecipe
from medray.models.catalog import build_model, model_family
from medray.samples.batch import Batch
from medray.samples.collate import collate
from medray.samples.tables import flat_lists, to_graphs
from medray.settings import OptimizerSettings, Recipe
from medray.training.augment import augment_batch, augment_graphs, draw_batch
from medray.training.fit import TrainState, evaluate, start_training, train_epoch
from medray.training.seeding import seed_everything
from medray.training.summary import mean_interval
from medray.training.task import Classify, inverse_frequency

Change = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Trial:
    """What is trained, and how.

    Attributes:
        model: a name of the catalog.
        size: rows and columns of its input.
        graph: for models that read graphs.
        augment: of the training images.
        options: of the model.
        optimizer: epochs, batches, learning rate.
    """

    model: str
    size: int
    graph: GraphRecipe = field(default_factory=GraphRecipe)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    options: dict[str, Any] = field(default_factory=dict)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)

    def recipe(self, size: int) -> Recipe:
        """Of images of this size: a network that has seen one size may be asked for another."""
        return Recipe(size=size, graph=self.graph)


@dataclass(frozen=True)
class Side:
    """Images float32 (count, 1, rows, columns) and their class numbers."""

    images: np.ndarray
    labels: np.ndarray

    def rows(self) -> pa.Table:
        """As prepared samples."""
        names = pa.array([str(number) for number in range(len(self.labels))])
        columns = {"sample_id": names, "status": pa.array(["ok"] * len(names))}
        table = pa.table({**columns, "label_number": pa.array(self.labels, pa.int64())})
        return table.append_column("image", flat_lists([image.ravel() for image in self.images]))


def batches_of(trial: Trial, side: Side, batch_size: int = 256) -> Iterator[Batch]:
    """A side as the model reads it, in order."""
    kind, recipe = model_family(trial.model).input_kind, trial.recipe(side.images.shape[2])
    for start in range(0, len(side.labels), batch_size):
        part = Side(side.images[start : start + batch_size], side.labels[start : start + batch_size]).rows()
        yield collate(part if kind == "image" else to_graphs(part, recipe, kind), recipe)


def _training(trial: Trial, rows: pa.Table, seed: int, epoch: int) -> Iterator[Batch]:
    """The batches of an epoch: graphs of unchanged images were made once, those of changed ones are made here."""
    kind, recipe = model_family(trial.model).input_kind, trial.recipe(trial.size)
    order = np.random.default_rng([seed, epoch]).permutation(rows.num_rows)
    size = trial.optimizer.batch_size
    for start in range(0, rows.num_rows - size + 1, size):
        batch = collate(rows.take(pa.array(order[start : start + size])), recipe)
        if not trial.augment.is_on:
            yield batch
        elif kind == "image":
            yield augment_batch(batch, draw_batch(trial.augment, seed, epoch, batch.sample_ids))
        else:
            drawn = draw_batch(trial.augment, seed, epoch, batch.sample_ids)
            yield augment_graphs(batch, drawn, recipe, kind)


def train(trial: Trial, side: Side, seed: int) -> tuple[torch.nn.Module, float]:
    """A trained model and the CPU seconds that its training took, graphs that are made once included."""
    started = time.process_time()
    kind, recipe, classes = model_family(trial.model).input_kind, trial.recipe(trial.size), int(side.labels.max()) + 1
    rows = side.rows()
    if kind != "image" and not trial.augment.is_on:
        rows = to_graphs(rows, recipe, kind)
    seed_everything(seed)
    options = model_family(trial.model).options_for(recipe) | trial.options
    nodes, edges = len(node_feature_names(trial.graph)), len(edge_feature_names(trial.graph))
    model = build_model(trial.model, num_classes=classes, node_features=nodes, edge_features=edges, options=options)
    steps = len(side.labels) // trial.optimizer.batch_size
    state: TrainState = start_training(model, trial.optimizer, steps, seed=seed)
    weights = inverse_frequency(np.bincount(side.labels).tolist()) if trial.optimizer.class_weights else None
    task = Classify(tuple(map(str, range(classes))), class_weights=weights)
    for epoch in range(trial.optimizer.epochs):
        train_epoch(state, _training(trial, rows, seed, epoch), task, device="cpu")
    return model, time.process_time() - started


def probabilities(trial: Trial, model: torch.nn.Module, side: Side) -> np.ndarray:
    """Of each class (samples, classes)."""
    task = Classify(tuple(map(str, range(int(side.labels.max()) + 1))))
    found: np.ndarray = task.probabilities(evaluate(model, batches_of(trial, side), task, device="cpu").logits).numpy()
    return found


def scored(labels: np.ndarray, chances: np.ndarray) -> tuple[float, float]:
    """Accuracy of the most probable class, and AUROC (of more than two classes one against the rest, macro)."""
    if chances.shape[1] == 2:
        auroc = roc_auc_score(labels, chances[:, 1])
    else:
        auroc = roc_auc_score(labels, chances / chances.sum(1, keepdims=True), multi_class="ovr")
    return float((chances.argmax(1) == labels).mean()), float(auroc)


def repeat(trial: Trial, train_side: Side, tests: dict[str, Side], seeds: range) -> dict[str, Any]:
    """One training a seed; accuracy and AUROC on each of the test sides: mean, interval, every seed."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in tests}
    seconds, parameters = [], 0
    for seed in seeds:
        model, spent = train(trial, train_side, seed)
        seconds.append(spent)
        parameters = sum(weight.numel() for weight in model.parameters())
        for name, side in tests.items():
            runs[name].append(scored(side.labels, probabilities(trial, model, side)))
    return {
        "parameters": parameters,
        "train_cpu_s": round(float(np.mean(seconds)), 1),
        **{name: summarised(found) for name, found in runs.items()},
    }


def summarised(found: list[tuple[float, float]]) -> dict[str, Any]:
    """Mean and Student's interval of accuracy and AUROC over seeds or folds."""
    summary: dict[str, Any] = {"seeds": len(found)}
    for place, name in enumerate(("accuracy", "auroc")):
        values = [pair[place] for pair in found]
        interval = mean_interval(values)
        summary[name] = round(interval.mean, 4)
        summary[f"{name}_interval"] = [
            interval.low and round(interval.low, 4),
            interval.high and round(interval.high, 4),
        ]
        summary[f"{name}_each"] = [round(value, 4) for value in values]
    return summary
