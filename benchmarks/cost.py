"""What an image costs a network at four sizes: operations, milliseconds of a training step, of an answer, of its graph.

    python -m benchmarks.cost

One thread, CPU time, the least of several batches of 4 images; an image's share of it. `mmac`: the multiplications of
convolutions and matrix products of one answer, in millions. A graph network's step and answer do not hold the making
of the graph: `graph_ms` says it; training pays it once where images are not changed, each epoch where they are.
`cnn, scaled down` is what everybody may do instead: scale to 96 x 96 (`scale_ms`), and answer.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.claim_data import lesions, resized
from benchmarks.results_writer import write_result
from benchmarks.trials import Side, Trial, batches_of
from medray.graphs.build import build_region_graph
from medray.graphs.features import edge_feature_names, node_feature_names
from medray.image_settings import GraphRecipe
from medray.models.catalog import build_model, model_family
from medray.pixels.resize import resize

SIZES = (96, 192, 384, 768)
BATCH, REPEATS, SMALL = 4, 5, 96


def least_ms(call: Callable[[], Any], images: int) -> float:
    """Least CPU time of a call, a share for each image, in milliseconds; the first call is not counted."""
    call()
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        call()
        times.append(time.process_time() - started)
    return round(1000 * min(times) / images, 3)


def trials(size: int) -> dict[str, Trial]:
    """The networks that are compared at a size."""
    found = {
        f"gatedgcn, {regions} regions": Trial("gatedgcn", size, GraphRecipe(regions=regions)) for regions in (98, 400)
    }
    found |= {name: Trial(name, size, GraphRecipe(regions=98)) for name in ("hybrid", "vig", "cnn")}
    return found


def costs(trial: Trial, side: Side) -> dict[str, float]:
    """Operations and times of one network on images of one size."""
    kind, recipe = model_family(trial.model).input_kind, trial.recipe(trial.size)
    model = build_model(
        trial.model,
        num_classes=4,
        node_features=len(node_feature_names(trial.graph)),
        edge_features=len(edge_feature_names(trial.graph)),
        options=model_family(trial.model).options_for(recipe),
    )
    inputs = next(batches_of(trial, side)).inputs
    found: dict[str, float] = {"parameters": sum(weight.numel() for weight in model.parameters())}

    def answer() -> None:
        with torch.inference_mode():
            model.eval()(**inputs)

    def step() -> None:
        model.train()(**inputs).sum().backward()

    with FlopCounterMode(display=False) as counted:
        answer()
    found["mmac"] = round(counted.get_total_flops() / 2e6 / len(side.labels), 3)
    found |= {"train_ms": least_ms(step, len(side.labels)), "answer_ms": least_ms(answer, len(side.labels))}
    if kind != "image":
        graphs = least_ms(lambda: [build_region_graph(image, trial.graph) for image in side.images], len(side.labels))
        found["graph_ms"] = graphs
    return found


def main() -> None:
    """Measure, say and keep."""
    torch.set_num_threads(1)
    figures: dict[str, Any] = {}
    for size in SIZES:
        side = lesions(BATCH, 0, size)
        figures[str(size)] = {name: costs(trial, side) for name, trial in trials(size).items()}
        small = Side(resized(SMALL)(side.images), np.zeros(BATCH, int))
        scaled = costs(Trial("cnn", SMALL), small)
        scaled["scale_ms"] = least_ms(lambda: [resize(image[0], SMALL, SMALL) for image in side.images], BATCH)  # noqa: B023
        figures[str(size)]["cnn, scaled down"] = scaled
        for name, found in figures[str(size)].items():
            print(size, name, found, flush=True)
    write_result("cost", figures)


if __name__ == "__main__":
    main()
