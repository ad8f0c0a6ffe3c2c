"""Images, changes and folds of the experiments in claim.py."""

import csv
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.lesions import draw_lesions
from benchmarks.road import data_folder, real_archive, work_folder
from benchmarks.trials import Change, Side
from medray.archive.reading import read_instance
from medray.pixels.prepare import prepare_image
from medray.pixels.resize import resize
from medray.pixels.values import frame_values
from medray.settings import Recipe


def z_scored(images: np.ndarray) -> np.ndarray:
    """Each image with mean 0 and standard deviation 1, float32."""
    middle, deviation = (measure((1, 2, 3), keepdims=True) for measure in (images.mean, images.std))
    found: np.ndarray = ((images - middle) / deviation).astype(np.float32)
    return found


def resized(side: int) -> Change:
    """To side x side pixels, antialiased."""
    return lambda images: z_scored(np.stack([resize(image[0], side, side)[None] for image in images]))


def noisy(deviation: float) -> Change:
    """Gaussian noise, as a share of the image's standard deviation; the same noise in each call."""

    def change(images: np.ndarray) -> np.ndarray:
        drawn = np.random.default_rng(0).normal(0, deviation, images.shape)
        return z_scored(images + drawn.astype(np.float32))

    return change


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


def lesions(count: int, seed: int, size: int = 96, lesion_size: int | None = None) -> Side:
    """Images and labels of generated lesions."""
    images, labels, _ = draw_lesions(count, seed, size, lesion_size=lesion_size)
    return Side(images, labels)


@cache
def chest_sides() -> dict[str, Side]:
    """The training and test images of PneumoniaMNIST."""
    data = np.load(data_folder() / "pneumoniamnist" / "pneumoniamnist.npz")
    sides = {}
    for name in ("train", "test"):
        images = z_scored(data[f"{name}_images"][:, None].astype(np.float32))
        sides[name] = Side(images, data[f"{name}_labels"].ravel().astype(int))
    return sides


@cache
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
