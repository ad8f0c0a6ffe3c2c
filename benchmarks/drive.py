"""Vessels of the retina (DRIVE) by superpixels whose nodes are classified, beside a small U-Net at the same compute.

    MEDRAY_DATA=… python benchmarks/drive.py [ROW …]

Trained in memory on the 20 training photographs, scored on the 20 of the test, inside the field of view on the full
grid. A row stands in benchmarks/results/drive.json as soon as it is there, and rows that were not asked for keep their
figures. Weights of each row's first seed go to a folder of their own; docs/make_vessel_picture.py draws with them.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from benchmarks.drive_graphs import (
    Answers,
    GraphCache,
    Reads,
    Regions,
    graph_batch,
    pixel_batch,
    regions_of,
    training_batches,
)
from benchmarks.drive_images import Photograph, photographs
from benchmarks.drive_measures import HALF, best_threshold, ceiling, figures, in_view, recalls, summary
from benchmarks.drive_networks import HybridInView, RefinedHybrid, StemAlone, UNetInView, multiplications
from benchmarks.results_writer import kept_result, write_result
from benchmarks.road import data_folder, work_folder
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.graphs.node_targets import paint_nodes
from medray.image_settings import GraphRecipe
from medray.models.catalog import build_model
from medray.samples.batch import Batch, Inputs
from medray.settings import OptimizerSettings
from medray.training.fit import start_training, train_epoch
from medray.training.seeding import seed_everything
from medray.training.task import Segment

RECIPE = GraphRecipe(regions=8000, compactness=0.3, texture=True)
WIDTHS: dict[str, Any] = {
    "node_features": len(node_feature_names(RECIPE)),
    "edge_features": len(edge_feature_names(RECIPE)),
}
STEM = (8, 16)
UNET = (8, 8, 16, 32, 64, 8)
TASK = Segment(("none", "vessel"))
CEILINGS = (500, 2000, 8000, 20000)


@dataclass(frozen=True)
class Row:
    """What is trained, and how.

    Attributes:
        build: a fresh network.
        reads: what it is given.
        answers: what its logits are about.
        epochs: of 20 steps.
        seeds: how many trainings.
        learning_rate: its peak.
        recipe: of the region graphs.
    """

    build: Callable[[], nn.Module]
    reads: Reads
    answers: Answers
    epochs: int
    seeds: int = 3
    learning_rate: float = 1e-2
    recipe: GraphRecipe = RECIPE


def _catalog(name: str) -> Callable[[], nn.Module]:
    return partial(build_model, name, num_classes=2, task="segment", **WIDTHS)


def _hybrid(network: type[nn.Module], **options: Any) -> Callable[[], nn.Module]:
    return partial(network, *WIDTHS.values(), 2, stem=STEM, **options)


ROWS = {
    "deepsets": Row(_catalog("deepsets"), "graph", "node", 10),
    "sage": Row(_catalog("sage"), "graph", "node", 10),
    "sage, 20,000": Row(_catalog("sage"), "graph", "node", 10, recipe=replace(RECIPE, regions=20000)),
    "gatedgcn": Row(_catalog("gatedgcn"), "graph", "node", 10),
    "hybrid": Row(_hybrid(HybridInView, answers="node"), "regions", "node", 5),
    "hybrid, refined": Row(_hybrid(RefinedHybrid), "regions", "pixel", 5),
    "stem alone": Row(partial(StemAlone, 2, STEM), "windows", "pixel", 6),
    "unet, short": Row(partial(UNetInView, 2, UNET), "windows", "pixel", 4),
    "unet": Row(partial(UNetInView, 2, UNET), "windows", "pixel", 12),
    "unet, 4 x": Row(partial(UNetInView, 2, UNET), "windows", "pixel", 48, seeds=1),
}
NAMES = ("ceilings", "floor", *ROWS, "widths")


def train(row: Row, cache: GraphCache, seed: int) -> tuple[nn.Module, float]:
    """A trained network and the CPU seconds of its training: with those of each graph that it read, built once."""
    cache.bill()
    started = time.process_time()
    seed_everything(seed)
    settings = OptimizerSettings(epochs=row.epochs, learning_rate=row.learning_rate)
    state = start_training(row.build(), settings, len(cache.photos), seed=seed)
    for epoch in range(row.epochs):
        train_epoch(
            state, training_batches(cache, seed, epoch, reads=row.reads, answers=row.answers), TASK, device="cpu"
        )
    return state.model.eval(), time.process_time() - started + cache.bill()


@torch.inference_mode()
def score(row: Row, network: nn.Module, photo: Photograph) -> np.ndarray:
    """How probable it is that a pixel is of a vessel, float32 (rows, columns); 0 outside the field of view."""
    if row.reads == "windows":
        batch, labels = pixel_batch([photo]), None
    else:
        regions = regions_of(photo, row.recipe)
        batch, labels = _graphs(row, photo, regions), regions.labels
    chances = TASK.probabilities(network(**batch.inputs))[:, 1].numpy()
    if row.answers == "node" and labels is not None:
        return paint_nodes(labels, chances[:, None])[..., 0]
    painted = np.zeros(photo.mask.shape, np.float32)
    painted[photo.view] = chances
    return painted


def run(name: str, cache: GraphCache, test: Sequence[Photograph], work: Path) -> Iterator[dict[str, Any]]:
    """A row after each of its seeds; the first one's weights go into the folder."""
    row, runs, seconds, answers = ROWS[name], [], [], []
    for seed in range(row.seeds):
        network, spent = train(row, cache, seed)
        seconds.append(spent)
        chosen = best_threshold(*in_view([score(row, network, photo) for photo in cache.photos], cache.photos))
        started = time.process_time()
        maps = [score(row, network, photo) for photo in test]
        answers.append((time.process_time() - started) / len(test))
        runs.append(figures(*in_view(maps, test), chosen))
        print(f"{name}, seed {seed}: {spent:.0f} s, {runs[-1]}", flush=True)
        if seed == 0:
            save_file(network.state_dict(), work / weights_name(name))
        yield {
            **summary(runs),
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "multiplications": multiplications(network, _inputs(row, test[0])),
            "steps": row.epochs * len(cache.photos),
            "train_cpu_s": round(float(np.mean(seconds)), 1),
            "answer_cpu_s": round(float(np.median(answers)), 3),
        }


def _inputs(row: Row, photo: Photograph) -> Inputs:
    if row.reads == "windows":
        return pixel_batch([photo]).inputs
    return _graphs(row, photo, regions_of(photo, row.recipe)).inputs


def _graphs(row: Row, photo: Photograph, regions: Regions) -> Batch:
    return graph_batch(photo, regions, row.recipe, reads=row.reads, answers=row.answers)


def weights_name(name: str) -> str:
    """The file of the weights of a row's first seed."""
    return re.sub(r"\W+", "-", name) + ".safetensors"


def floor(training: Sequence[Photograph], test: Sequence[Photograph]) -> dict[str, Any]:
    """Darkness against the background as the score: nothing is learned but the threshold."""
    chosen = best_threshold(*in_view([-photo.image[0] for photo in training], training))
    return summary([figures(*in_view([-photo.image[0] for photo in test], test), chosen, half=False)])


def ceilings(test: Sequence[Photograph]) -> dict[str, Any]:
    """Of superpixels and of a grid."""
    recipes = {
        f"{builder}, {regions}": GraphRecipe(builder=builder, regions=regions, compactness=RECIPE.compactness)
        for builder in ("superpixel", "grid")
        for regions in CEILINGS
    }  # fmt: skip
    return {name: ceiling(test, recipe) for name, recipe in recipes.items()}


def widths(test: Sequence[Photograph], work: Path) -> dict[str, Any]:
    """Recall of thin vessels and of the others at 0.5, by the first seed of each row whose weights are there."""
    found = {}
    for name, row in ROWS.items():
        if (work / weights_name(name)).exists():
            network = row.build()
            network.load_state_dict(load_file(work / weights_name(name)))
            found[name] = recalls([score(row, network.eval(), photo) >= HALF for photo in test], test)
    return found


def main() -> None:
    """Run the rows that were asked for, or all."""
    torch.set_num_threads(1)
    training, test = (photographs(data_folder(), side) for side in ("training", "test"))
    caches = {recipe: GraphCache(training, recipe) for recipe in {row.recipe for row in ROWS.values()}}
    work = work_folder("drive")
    print(f"weights: {work}", flush=True)
    others = {
        "ceilings": lambda: ceilings(test),
        "floor": lambda: floor(training, test),
        "widths": lambda: widths(test, work),
    }
    for name in sys.argv[1:] or NAMES:
        found = run(name, caches[ROWS[name].recipe], test, work) if name in ROWS else [others[name]()]
        for row in found:
            keep(name, row)


def keep(name: str, row: dict[str, Any]) -> None:
    """Write a row beside those that are there by now: rows may run side by side."""
    found = kept_result("drive") | {name: row}
    write_result("drive", {name: found[name] for name in NAMES if name in found})


if __name__ == "__main__":
    main()
