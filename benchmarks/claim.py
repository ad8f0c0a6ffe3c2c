"""Do graph networks recognise medical images better than convolutional ones? Each claim beside its antidote.

    MEDRAY_DATA=… python -m benchmarks.claim [E1 E2 "E4 cnn" …]

E1 equal numbers of weights: four classes of generated lesions, 96 x 96; and what noise, contrast and another resolution
do to a network that has not seen them.
E2 few training images, with and without augmentation, as many steps for each number of images.
E3 chest X-rays (PneumoniaMNIST, official split): turned by 90 degrees, of twice the size, noisy, of another contrast.
E4 breast ultrasound (BUSI), five folds: texture features, edges, and longer training with augmentation.
E5 (speed and quality of superpixels), E6 (collate), E7 (localisation) and `cost` (operations and times at four sizes)
have scripts of their own; claim.json repeats their figures.
E8 high resolution: lesions of a fixed size in pixels in a 256 x 256 image, read whole, as a graph, or scaled down.
Antidotes: augmentation, and resizing the input to the size that the network knows. Three seeds (five folds in E4).
Each row is kept as soon as it is there; the arguments choose rows by the beginning of their names.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.claim_data import breast, changed, chest_sides, lesions, noisy, resized, to_the_power, turned
from benchmarks.results_writer import kept_result, write_result
from benchmarks.trials import Side, Trial, probabilities, repeat, scored, summarised, train
from medray.image_settings import AugmentSettings, GraphRecipe
from medray.settings import OptimizerSettings

SEEDS = range(3)
OFF = AugmentSettings()
CHANGED = AugmentSettings(
    flip_left_right=True, flip_up_down=True, rotate_degrees=180, gamma=0.3, contrast=0.15, noise=0.15
)
XRAY = AugmentSettings(rotate_degrees=10, scale=0.1, shift=0.05, elastic=0.02, gamma=0.2, contrast=0.1, noise=0.05)
FLIP = AugmentSettings(flip_left_right=True)
SPECKLE = AugmentSettings(flip_left_right=True, gamma=0.2, contrast=0.2, brightness=0.2, cut_out=0.25)
"""Nothing that interpolates: the speckle of ultrasound is what tells tissue apart, and a resampled one is another."""
LESIONS = GraphRecipe(regions=98, position=True)
CHEST = GraphRecipe(regions=81)
BREAST = GraphRecipe(regions=200, position=True)
OTHERS = {"E5": "superpixels", "E6": "collate", "E7": "explanations", "cost": "cost"}

Row = Callable[[], dict[str, Any]]


def equal_weights() -> dict[str, Row]:
    """E1."""
    changes = {
        "noise": noisy(0.3), "gamma": to_the_power(0.7), "half size": resized(48), "twice the size": resized(192),
        "half size, resized": lambda images: resized(96)(resized(48)(images)),
        "twice the size, resized": lambda images: resized(96)(resized(192)(images)),
    }  # fmt: skip
    optimizer = OptimizerSettings(epochs=20, batch_size=32)
    names = ("gatedgcn", "sage", "deepsets", "cnn", "vig")
    trials = {name: Trial(name, 96, graph=LESIONS, optimizer=optimizer) for name in names}
    for name in ("gatedgcn", "cnn"):
        trials[f"{name}, augmented"] = replace(trials[name], augment=CHANGED)

    def row(trial: Trial) -> dict[str, Any]:
        return repeat(trial, lesions(1200, 0), changed(lesions(400, 1), changes), SEEDS)

    return {name: partial(row, trial) for name, trial in trials.items()}


def few_images() -> dict[str, Row]:
    """E2: 400 steps of 16 images, and 800 where images are augmented."""

    def row(count: int, trial: Trial) -> dict[str, Any]:
        return repeat(trial, lesions(count, 2), {"clean": lesions(400, 1)}, SEEDS)

    rows: dict[str, Row] = {}
    for count in (80, 300):
        for name in ("gatedgcn", "deepsets", "cnn"):
            for augment in (OFF, CHANGED) if name != "deepsets" else (OFF,):
                steps = 800 if augment.is_on else 400
                optimizer = OptimizerSettings(epochs=steps // (count // 16), batch_size=16)
                trial = Trial(name, 96, graph=LESIONS, augment=augment, optimizer=optimizer)
                rows[f"{count} images, {name}{', augmented' if augment.is_on else ''}"] = partial(row, count, trial)
    return rows


def chest_x_rays() -> dict[str, Row]:
    """E3."""
    changes = {
        "quarter turns": turned, "twice the size": resized(56), "noise": noisy(0.4), "gamma": to_the_power(0.6),
        "twice the size, resized": lambda images: resized(28)(resized(56)(images)),
    }  # fmt: skip
    optimizer = OptimizerSettings(epochs=10, class_weights=True)
    trials = {name: Trial(name, 28, graph=CHEST, optimizer=optimizer) for name in ("gatedgcn", "cnn")}
    trials["cnn, augmented"] = replace(trials["cnn"], augment=XRAY)
    trials["cnn, augmented by turns"] = replace(trials["cnn"], augment=replace(XRAY, rotate_degrees=180))
    trials["vig, augmented"] = Trial("vig", 28, optimizer=optimizer, augment=XRAY)

    def row(trial: Trial) -> dict[str, Any]:
        sides = chest_sides()
        return repeat(trial, sides["train"], changed(sides["test"], changes), SEEDS)

    return {name: partial(row, trial) for name, trial in trials.items()}


def breast_ultrasound() -> dict[str, Row]:
    """E4."""
    textured = replace(BREAST, texture=True)
    short = OptimizerSettings(epochs=20, batch_size=32, class_weights=True)
    long = replace(short, epochs=60)
    sage = Trial("sage", 256, graph=textured, augment=FLIP, optimizer=short)
    cnn = Trial("cnn", 128, augment=FLIP, optimizer=short)
    cnn_long = replace(cnn, augment=SPECKLE, optimizer=long)
    trials = {
        "sage, texture": (sage,),
        "sage, 12 statistics": (replace(sage, graph=BREAST),),
        "deepsets, texture": (replace(sage, model="deepsets"),),
        "cnn": (cnn,),
        "vig": (replace(cnn, model="vig"),),
        "cnn, 60 epochs, augmented": (cnn_long,),
        "vig, 60 epochs, augmented": (replace(cnn_long, model="vig", options={"dropout": 0.3}),),
        "mean of cnn and sage with texture": (cnn, sage),
        "mean of two cnn": (cnn, cnn),
    }
    return {name: partial(five_folds, members) for name, members in trials.items()}


def five_folds(members: tuple[Trial, ...]) -> dict[str, Any]:
    """Of one network, or of the mean of several networks' probabilities, trained from seeds 0, 1, …"""
    runs, seconds, parameters = [], 0.0, 0
    for fold in range(5):
        chances, parameters = [], 0
        for seed, trial in enumerate(members):
            side, folds = breast(trial.size)
            inside = folds == fold
            model, spent = train(trial, Side(side.images[~inside], side.labels[~inside]), seed)
            tested = Side(side.images[inside], side.labels[inside])
            chances.append(probabilities(trial, model, tested))
            seconds, parameters = seconds + spent / 5, parameters + sum(weight.numel() for weight in model.parameters())
        runs.append(scored(tested.labels, np.mean(chances, axis=0)))
        print(f"  fold {fold}: {runs[-1][0]:.3f}/{runs[-1][1]:.3f}", flush=True)
    return {"parameters": parameters, "train_cpu_s": round(seconds, 1), "clean": summarised(runs)}


def high_resolution() -> dict[str, Row]:
    """E8: the same images of 256 x 256 pixels for all; `cnn, scaled down` reads them at 96 x 96."""
    optimizer = OptimizerSettings(epochs=20, batch_size=32)
    trials = {
        "gatedgcn, 400 regions": Trial("gatedgcn", 256, graph=replace(LESIONS, regions=400), optimizer=optimizer),
        "deepsets, 400 regions": Trial("deepsets", 256, graph=replace(LESIONS, regions=400), optimizer=optimizer),
        "cnn, whole image": Trial("cnn", 256, optimizer=optimizer),
        "cnn, scaled down": Trial("cnn", 96, optimizer=optimizer),
    }

    def row(trial: Trial) -> dict[str, Any]:
        sides = [lesions(count, seed, 256, lesion_size=96) for count, seed in ((600, 0), (400, 1))]
        training, tests = (Side(resized(trial.size)(side.images), side.labels) for side in sides)
        return repeat(trial, training, {"clean": tests}, SEEDS)

    return {name: partial(row, trial) for name, trial in trials.items()}


def told(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Say a row as soon as it is there."""
    rows = [f"{key} {row['accuracy']:.3f}/{row['auroc']:.3f}" for key, row in figures.items() if isinstance(row, dict)]
    print(f"{name}: {figures.get('parameters', '')} weights; {', '.join(rows)}", flush=True)
    return figures


EXPERIMENTS = {
    "E1": equal_weights, "E2": few_images, "E3": chest_x_rays, "E4": breast_ultrasound, "E8": high_resolution
}  # fmt: skip


def main() -> None:
    """Run the rows that were asked for; the others keep their figures."""
    torch.set_num_threads(1)
    rows = {(name, row): call for name, experiment in EXPERIMENTS.items() for row, call in experiment().items()}
    for (name, row), call in rows.items():
        if sys.argv[1:] and not any(f"{name} {row}".startswith(asked) for asked in sys.argv[1:]):
            continue
        figures = told(f"{name} {row}", call())
        earlier = kept_result("claim")
        found = {each: earlier.get(each, {}) for each in EXPERIMENTS}
        found[name][row] = figures
        found |= {key: kept_result(script) or None for key, script in OTHERS.items()}
        write_result("claim", found)


if __name__ == "__main__":
    main()
