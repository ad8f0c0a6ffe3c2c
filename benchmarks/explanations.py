"""Where trained models look, against the nodules that were planted in phantoms: methods beside brightness.

    python benchmarks/explanations.py [MODEL …]

Pointing game (Zhang et al. 2018, 3 pixels of tolerance) and area under the precision-recall curve of the pixels, on
images with nodules of patients that no model has seen; what insertion, deletion and random weights say of each
method; milliseconds an image on one thread. Means over seeds, each seed's figure beside them. Models that are not named
keep the figures of an earlier run.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from scipy.ndimage import binary_dilation
from sklearn.metrics import average_precision_score
from torch import nn

from benchmarks.phantoms import LABELS, Phantom, draw_phantoms
from benchmarks.results_writer import RESULTS, write_result
from medray.graphs.arrow import graphs_to_arrow
from medray.graphs.build import build_with_labels
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe
from medray.models.catalog import build_model
from medray.samples.batch import Batch, Inputs
from medray.samples.collate import graph_inputs
from medray.samples.tables import InputKind
from medray.scoring.examples import Shown
from medray.scoring.explain import METHODS, explain
from medray.scoring.explain_checks import faithfulness, randomisation_check
from medray.settings import OptimizerSettings, Recipe
from medray.training.fit import start_training, train_epoch
from medray.training.seeding import seed_everything
from medray.training.task import Classify

MODELS: dict[str, InputKind] = {"cnn": "image", "gatedgcn": "graph", "hybrid": "regions"}
PATIENTS, TRAINING_PATIENTS, IMAGES, SIZE = 250, 190, 1000, 96
TESTED, CHECKED, SEEDS, EPOCHS, BATCH, TOLERANCE_PX = 100, 20, 3, 15, 32, 3
RECIPE = Recipe(size=SIZE, graph=GraphRecipe(regions=100))
NODULE = LABELS.index("nodule")
GOAL = {"pointing": 0.75, "times_brightness": 2.0}


@dataclass(frozen=True)
class Sample:
    """A phantom as each kind of model reads it."""

    phantom: Phantom
    shown: dict[str, Shown]


@cache
def samples() -> list[Sample]:
    """All phantoms: z-scored images, and their region graphs."""
    found = []
    for phantom in draw_phantoms(IMAGES, SIZE, patients=PATIENTS):
        image = ((phantom.image - phantom.image.mean()) / phantom.image.std()).astype(np.float32)[None]
        graph, labels = build_with_labels(image, RECIPE.graph)
        table = graphs_to_arrow([graph]).append_column("sample_id", pa.array(["one"]))
        pixels: Inputs = {"image": torch.from_numpy(image)[None]}
        nodes = graph_inputs(table, RECIPE)
        both = {**pixels, **nodes, "regions": torch.from_numpy(labels.astype(np.int64))[None]}
        shown = {"image": Shown(image, pixels, None), "graph": Shown(image, nodes, labels)}
        found.append(Sample(phantom, {**shown, "regions": Shown(image, both, labels)}))
    return found


def is_training(sample: Sample) -> bool:
    """Whether a model may learn from it: of the first patients."""
    return sample.phantom.number % PATIENTS < TRAINING_PATIENTS


def joined(some: list[Inputs]) -> Inputs:
    """Inputs of one sample each as those of a batch."""
    tensors = {name: [value for each in some if torch.is_tensor(value := each[name])] for name in some[0]}
    joint: Inputs = {"image": torch.cat(tensors["image"])} if "image" in tensors else {}
    if "x" not in tensors:
        return joint
    sizes = torch.tensor([len(x) for x in tensors["x"]])
    starts = sizes.cumsum(0) - sizes
    edges = [edge_index + start for edge_index, start in zip(tensors["edge_index"], starts, strict=True)]
    joint |= {name: torch.cat(tensors[name]) for name in ("x", "edge_attr")}
    if "regions" in tensors:
        joint["regions"] = torch.cat(tensors["regions"]) + starts[:, None, None]
    return {
        **joint,
        "edge_index": torch.cat(edges, dim=1),
        "batch": torch.arange(len(some)).repeat_interleave(sizes),
        "num_graphs": len(some),
    }


def batches(kind: str, chosen: list[Sample]) -> Iterator[Batch]:
    """Labelled batches, in order."""
    for start in range(0, len(chosen), BATCH):
        some = chosen[start : start + BATCH]
        labels = torch.tensor([LABELS.index(sample.phantom.label) for sample in some])
        yield Batch(joined([sample.shown[kind].inputs for sample in some]), labels, [""] * len(some))


def trained(name: str, seed: int) -> nn.Module:
    """A model that has learnt nodule or clear."""
    kind, training = MODELS[name], [sample for sample in samples() if is_training(sample)]
    seed_everything(seed)
    widths = (len(node_feature_names(RECIPE.graph)), len(edge_feature_names(RECIPE.graph)))
    model = build_model(name, num_classes=2, in_channels=1, node_features=widths[0], edge_features=widths[1])
    state = start_training(model, OptimizerSettings(epochs=EPOCHS), -(-len(training) // BATCH), seed=seed)
    order = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        shuffled = [training[k] for k in order.permutation(len(training))]
        train_epoch(state, batches(kind, shuffled), Classify(LABELS), device="cpu")
    return model.eval()


@torch.inference_mode()
def accuracy(model: nn.Module, kind: str) -> float:
    """Of the most probable class, on patients that no model has seen."""
    right = [
        model(**batch.inputs).argmax(1) == batch.labels
        for batch in batches(kind, [sample for sample in samples() if not is_training(sample)])
    ]
    return float(torch.cat(right).float().mean())


def points_at(heat: np.ndarray, lesions: np.ndarray) -> bool:
    """Whether the middle of what is hottest lies on a lesion, or TOLERANCE_PX beside it."""
    hottest = np.argwhere(heat == heat.max())
    row, column = hottest[((hottest - hottest.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return bool(binary_dilation(lesions, iterations=TOLERANCE_PX)[row, column])


def figures(model: nn.Module, kind: str, method: str) -> dict[str, float]:
    """What one method reaches on one model."""
    tested = [s for s in samples() if not is_training(s) and s.phantom.label == "nodule"][:TESTED]
    rows, started = [], time.process_time()
    heats = [explain(model, sample.shown[kind].inputs, method, NODULE) for sample in tested]
    ms = 1000 * (time.process_time() - started) / len(tested)
    for number, (sample, heat) in enumerate(zip(tested, heats, strict=True)):
        lesions, shown = sample.phantom.lesions, sample.shown[kind]
        assert lesions is not None
        fine = shown.painted(heat)
        row = {
            "pointing": float(points_at(fine, lesions)),
            "auprc": float(average_precision_score(lesions.ravel(), fine.ravel())),
        }
        if number < CHECKED:
            insertion, deletion = faithfulness(model, shown.inputs, heat, NODULE).areas
            random = randomisation_check(model, shown.inputs, method, NODULE)[-1][1]
            row |= {"insertion": insertion, "deletion": deletion, "random_weights_correlation": random}
        rows.append(row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in rows[0]} | {"ms": ms}


def main() -> None:
    """Train each model in every seed and write the table."""
    torch.set_num_threads(1)
    kept = RESULTS / "explanations.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    found |= {"goal": GOAL, "images": TESTED, "seeds": SEEDS}
    for name in sys.argv[1:] or MODELS:
        kind = MODELS[name]
        models = [trained(name, seed) for seed in range(SEEDS)]
        found[name] = {"accuracy": [accuracy(model, kind) for model in models]}
        for method in METHODS[kind]:
            each = [figures(model, kind, method) for model in models]
            means = {figure: float(np.mean([row[figure] for row in each])) for figure in each[0]}
            found[name][method] = means | {"pointing_by_seed": [row["pointing"] for row in each]}
            print(name, method, found[name][method], flush=True)
    write_result("explanations", found)


if __name__ == "__main__":
    main()
