"""Do graph networks recognise medical images better than convolutional ones? Each claim beside its antidote.

    MEDRAY_DATA=… python benchmarks/claim.py [E1 E2 E3 E4]

E1 equal numbers of weights, and cost: four classes of generated lesions, 96 x 96, three seeds; and what noise, contrast
and another resolution do to a network that has not seen them.
E2 few training images, with and without augmentation.
E3 chest X-rays (PneumoniaMNIST, official split): turned by 90 degrees, of twice the size, noisy, of another contrast.
E4 breast ultrasound (BUSI), five folds: texture features, and edges.
E5 (speed and quality of superpixels), E6 (collate) and E7 (localisation) have scripts of their own; their figures are
taken from benchmarks/results. Antidotes: augmentation, and resizing the input to the size that the network knows.
"""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lesions import draw_lesions
from benchmarks.results_writer import RESULTS, write_result
from benchmarks.road import data_folder, real_archive, work_folder
from benchmarks.trials import Change, Side, Trial, repeat, scores, summarised, train
from medray.archive.reading import read_instance
from medray.image_settings import AugmentSettings, GraphRecipe
from medray.pixels.prepare import prepare_image
from medray.pixels.resize import resize
from medray.pixels.values import frame_values
from medray.settings import OptimizerSettings, Recipe

SEEDS = range(3)
CHANGED = AugmentSettings(
    flip_left_right=True, flip_up_down=True, rotate_degrees=180, gamma=0.3, contrast=0.15, noise=0.15
)
XRAY = AugmentSettings(rotate_degrees=10, scale=0.1, shift=0.05, elastic=0.02, gamma=0.2, contrast=0.1, noise=0.05)
FLIP = AugmentSettings(flip_left_right=True)
LESIONS = GraphRecipe(regions=98, position=True)
CHEST = GraphRecipe(regions=81)
BREAST = GraphRecipe(regions=200, position=True)


def z_scored(images: np.ndarray) -> np.ndarray:
    """Each image with mean 0 and standard deviation 1, float32."""
    middle, deviation = (measure((1, 2, 3), keepdims=True) for measure in (images.mean, images.std))
    found: np.ndarray = ((images - middle) / deviation).astype(np.float32)
    return found


def resized(side: int) -> Change:
    """To side x side pixels, antialiased."""
    return lambda images: z_scored(np.stack([resize(image[0], side, side)[None] for image in images]))


def noisy(deviation: float) -> Change:
    """Gaussian noise, as a share of the image's standard deviation."""
    drawn = np.random.default_rng(0)
    return lambda images: z_scored(images + drawn.normal(0, deviation, images.shape).astype(np.float32))


def to_the_power(gamma: float) -> Change:
    """Between each image's minimum and maximum."""

    def change(images: np.ndarray) -> np.ndarray:
        low, high = (edge(images, (1, 2, 3), keepdims=True) for edge in (np.min, np.max))
        return z_scored(((images - low) / (high - low)) ** gamma)

    return change


def turned(images: np.ndarray) -> np.ndarray:
    """Image k by k quarter turns."""
    return np.stack([np.rot90(image, k % 4, (1, 2)) for k, image in enumerate(images)]).astype(np.float32)


def changed(side: Side, changes: dict[str, Change]) -> dict[str, Side]:
    """The side itself (`clean`) and after each change."""
    return {"clean": side, **{name: Side(change(side.images), side.labels) for name, change in changes.items()}}


def lesions(count: int, seed: int) -> Side:
    """Images and labels of generated lesions."""
    images, labels, _ = draw_lesions(count, seed)
    return Side(images, labels)


def equal_weights() -> dict[str, Any]:
    """E1."""
    changes = {
        "noise": noisy(0.3), "gamma": to_the_power(0.7), "half size": resized(48), "twice the size": resized(192),
        "half size, resized": lambda images: resized(96)(resized(48)(images)),
        "twice the size, resized": lambda images: resized(96)(resized(192)(images)),
    }  # fmt: skip
    training, tests = lesions(1200, 0), changed(lesions(400, 1), changes)
    trials = {name: Trial(name, 96, graph=LESIONS) for name in ("gatedgcn", "sage", "deepsets", "cnn", "hybrid", "vig")}
    trials["gatedgcn, augmented"] = replace(trials["gatedgcn"], augment=CHANGED)
    trials["cnn, augmented"] = replace(trials["cnn"], augment=CHANGED)
    return {name: told(f"E1 {name}", repeat(trial, training, tests, SEEDS)) for name, trial in trials.items()}


def few_images() -> dict[str, Any]:
    """E2."""
    tests, found = {"clean": lesions(400, 1)}, {}
    for count in (80, 300):
        optimizer = OptimizerSettings(epochs=30 if count < 100 else 20, batch_size=16)
        for name in ("gatedgcn", "deepsets", "cnn"):
            for augment in (AugmentSettings(), CHANGED) if name != "deepsets" else (AugmentSettings(),):
                trial = Trial(name, 96, graph=LESIONS, augment=augment, optimizer=optimizer)
                key = f"{count} images, {name}{', augmented' if augment.is_on else ''}"
                found[key] = told(f"E2 {key}", repeat(trial, lesions(count, 2), tests, SEEDS))
    return found


def chest_sides() -> dict[str, Side]:
    """The training and test images of PneumoniaMNIST."""
    data = np.load(data_folder() / "pneumoniamnist" / "pneumoniamnist.npz")
    sides = {}
    for name in ("train", "test"):
        images = z_scored(data[f"{name}_images"][:, None].astype(np.float32))
        sides[name] = Side(images, data[f"{name}_labels"].ravel().astype(int))
    return sides


def chest_x_rays() -> dict[str, Any]:
    """E3."""
    sides = chest_sides()
    changes = {
        "quarter turns": turned, "twice the size": resized(56), "noise": noisy(0.4), "gamma": to_the_power(0.6),
        "twice the size, resized": lambda images: resized(28)(resized(56)(images)),
    }  # fmt: skip
    optimizer = OptimizerSettings(epochs=10, class_weights=True)
    trials = {name: Trial(name, 28, graph=CHEST, optimizer=optimizer) for name in ("gatedgcn", "cnn")}
    trials["cnn, augmented"] = replace(trials["cnn"], augment=XRAY)
    trials["cnn, augmented by turns"] = replace(trials["cnn"], augment=replace(XRAY, rotate_degrees=180))
    trials["vig, augmented"] = Trial("vig", 28, optimizer=optimizer, augment=XRAY)
    tests = changed(sides["test"], changes)
    return {name: told(f"E3 {name}", repeat(trial, sides["train"], tests, SEEDS)) for name, trial in trials.items()}


def breast(size: int) -> tuple[Side, np.ndarray]:
    """BUSI at this size, and the fold of each image."""
    archive = real_archive("busi", work_folder("claim") / "archives")
    with open(archive / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    recipe = Recipe(size=size, fit="stretch")
    images = np.empty((len(rows), 1, size, size), np.float32)
    for number, row in enumerate(rows):
        instance = read_instance(Path(archive / row["path"]).read_bytes(), "png")
        images[number] = prepare_image(frame_values(instance, 0), instance.pixels, recipe)
    labels = np.array([classes.index(row["label"]) for row in rows])
    return Side(images, labels), np.array([int(row["split"].removeprefix("fold")) for row in rows])


def breast_ultrasound() -> dict[str, Any]:
    """E4."""
    textured = replace(BREAST, texture=True)
    optimizer = OptimizerSettings(epochs=20, batch_size=32, class_weights=True)
    trials = {
        "sage, texture": Trial("sage", 256, graph=textured, augment=FLIP, optimizer=optimizer),
        "sage, 12 statistics": Trial("sage", 256, graph=BREAST, augment=FLIP, optimizer=optimizer),
        "deepsets, texture": Trial("deepsets", 256, graph=textured, augment=FLIP, optimizer=optimizer),
        "cnn": Trial("cnn", 128, augment=FLIP, optimizer=optimizer),
    }
    found = {}
    for name, trial in trials.items():
        side, folds = breast(trial.size)
        runs = []
        for fold in range(5):
            inside = folds == fold
            model, _ = train(trial, Side(side.images[~inside], side.labels[~inside]), seed=0)
            runs.append(scores(trial, model, Side(side.images[inside], side.labels[inside])))
        found[name] = told(f"E4 {name}", {"clean": summarised(runs)})
    return found


def told(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Say a row as soon as it is there."""
    rows = [f"{key} {row['accuracy']:.3f}/{row['auroc']:.3f}" for key, row in figures.items() if isinstance(row, dict)]
    print(f"{name}: {figures.get('parameters', '')} weights; {', '.join(rows)}", flush=True)
    return figures


EXPERIMENTS = {"E1": equal_weights, "E2": few_images, "E3": chest_x_rays, "E4": breast_ultrasound}


def main() -> None:
    """Run what was asked for; experiments that were not keep their figures."""
    torch.set_num_threads(1)
    kept = RESULTS / "claim.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    for name in sys.argv[1:] or EXPERIMENTS:
        found[name] = EXPERIMENTS[name]()
    for name, script in (("E5", "superpixels"), ("E6", "collate"), ("E7", "explanations")):
        path = RESULTS / f"{script}.json"
        found[name] = json.loads(path.read_text()) if path.exists() else None
    write_result("claim", {name: found.get(name) for name in ("E1", "E2", "E3", "E4", "E5", "E6", "E7")})


if __name__ == "__main__":
    main()
