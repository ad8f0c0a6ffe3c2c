"""Batched region graphs in torch against the compiled kernels on the same images.

    python benchmarks/device_graphs.py [--device cpu|cuda]

Best of several rounds each: CPU time of one thread for the kernels and for `cpu`, time on the wall for `cuda`.
Labels are compared pixel by pixel and image by image; ASA is the achievable segmentation accuracy of both.
Figures of each device stand beside each other in the results.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.results_writer import RESULTS, write_result
from medray.graphs.arrow import collate_arrow, graphs_to_arrow
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.image_settings import GraphRecipe
from medray.samples.device_graphs import build_graphs_on
from tests.graphs.ellipses import achievable_accuracy, ellipses

SIZES = ((512, 400), (224, 196), (28, 81))
BATCH = {"cpu": {512: 4, 224: 16, 28: 64}, "cuda": {512: 64, 224: 64, 28: 256}}
DRAWN = 16
ROUNDS = {"cpu": 3, "cuda": 10}


def least_seconds(call: Callable[[], Any], rounds: int, device: torch.device) -> float:
    """Least time of one call, the device's work included, after one that does not count."""
    call()
    times = []
    for _ in range(rounds):
        start = _now(device)
        call()
        times.append(_now(device) - start)
    return min(times)


def _now(device: torch.device) -> float:
    """Seconds: on the wall when a GPU has done its work, else of this process's threads."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def size_figures(size: int, regions: int, device: torch.device) -> dict[str, float]:
    """Rates at one image size, and how far labels agree."""
    count, recipe = BATCH[device.type][size], GraphRecipe(regions=regions)
    texture = GraphRecipe(regions=regions, texture=True)
    drawn = [ellipses(size, seed) for seed in range(min(count, DRAWN))]
    images = np.stack([drawn[number % len(drawn)][0][None] for number in range(count)])
    there = torch.from_numpy(images).to(device)
    rounds = ROUNDS[device.type]
    batched = least_seconds(lambda: build_graphs_on(there, recipe), rounds, device)
    textured = least_seconds(lambda: build_graphs_on(there, texture), rounds, device)
    kernels = least_seconds(lambda: _by_kernels(images, recipe), 3, torch.device("cpu"))
    kernels_textured = least_seconds(lambda: _by_kernels(images, texture), 3, torch.device("cpu"))
    figures = {
        "batch": count,
        "images_per_s": count / batched,
        "kernels_images_per_s": count / kernels,
        "ratio": kernels / batched,
        "texture_images_per_s": count / textured,
        "texture_ratio": kernels_textured / textured,
        **_agreement(drawn, build_graphs_on(there, recipe)["label_map"], recipe),
    }
    return {name: round(value, 6) for name, value in figures.items()}


def _by_kernels(images: np.ndarray, recipe: GraphRecipe) -> None:
    collate_arrow(graphs_to_arrow([build_region_graph(image, recipe) for image in images]))


def _agreement(drawn: list[tuple[np.ndarray, np.ndarray]], label_map: Any, recipe: GraphRecipe) -> dict[str, float]:
    ours = label_map.cpu().numpy()[: len(drawn)]
    kernels = [superpixel_labels(image[None], recipe) for image, _ in drawn]
    pairs = list(zip(ours, kernels, strict=True))
    return {
        "equal_pixels": float(np.mean([np.mean(one == other) for one, other in pairs])),
        "equal_images": float(np.mean([np.array_equal(one, other) for one, other in pairs])),
        "achievable_accuracy": _accuracy(ours, drawn),
        "kernels_achievable_accuracy": _accuracy(kernels, drawn),
    }


def _accuracy(labels: Any, drawn: list[tuple[np.ndarray, np.ndarray]]) -> float:
    return float(np.mean([achievable_accuracy(label, truth) for label, (_, truth) in zip(labels, drawn, strict=True)]))


def main() -> None:
    """Measure, say and keep."""
    parser = argparse.ArgumentParser(description="Batched region graphs against the compiled kernels.")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    device = torch.device(parser.parse_args().device)
    torch.set_num_threads(1)
    figures = {f"{size}/{regions}": size_figures(size, regions, device) for size, regions in SIZES}
    for name, found in figures.items():
        print(
            f"{name} on {device.type}: {found['images_per_s']:.0f} images/s, kernels on one core "
            f"{found['kernels_images_per_s']:.0f} ({found['ratio']:.2f} x); equal pixels {found['equal_pixels']:.6f}"
        )
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "one thread"
    path = RESULTS / "device_graphs.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    measured = {kind: kept[kind] for kind in BATCH if kind in kept} | {device.type: {"device": name, **figures}}
    write_result("device_graphs", measured)


if __name__ == "__main__":
    main()
