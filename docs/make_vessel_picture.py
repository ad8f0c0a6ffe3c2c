"""Draw docs/pictures/vessels.png: a generated crop of a retina, its truth, and what the networks of DRIVE say of it.

MEDRAY_WORK=FOLDER python docs/make_vessel_picture.py

FOLDER is where benchmarks/drive.py, run with the same MEDRAY_WORK, put the weights. The image is generated because
DRIVE is for research and education, and no picture of it belongs into a repository that anyone may copy.
"""

import io
import os
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from scipy import ndimage

from benchmarks.drive import RECIPE, ROWS, score, weights_name
from benchmarks.drive_graphs import regions_of
from benchmarks.drive_images import Photograph, flattened
from docs.make_pictures import PICTURES
from medray.graphs.node_targets import majority, paint_classes

SIZE, FINER = 584, 4
"""Pixels of the image's side; its vessels are drawn so many times finer."""
TOP, LEFT, CROP = 250, 290, 120
"""What is shown of it."""
SHOWN = ("gatedgcn", "hybrid, refined", "unet")
RIGHT, MISSED, ADDED, NOTHING = (255, 255, 255), (238, 66, 102), (59, 172, 236), (0, 0, 0)


def branch(draw: ImageDraw.ImageDraw, place: np.ndarray, angle: float, width: float, dice: np.random.Generator) -> None:
    """A vessel that bends, thins and forks, each fork thinner than what it left, down to 0.9 pixels."""
    while width > 0.9 and np.all((place > -20) & (place < SIZE + 20)):
        angle += dice.normal(0, 0.12)
        end = place + 4 * np.array([np.cos(angle), np.sin(angle)])
        line = (*(FINER * place), *(FINER * end))
        draw.line(line, fill=255, width=max(round(FINER * width), 1))
        place, width = end, width - 0.02
        if dice.random() < 0.06:
            branch(
                draw, place, angle + dice.choice([-1, 1]) * dice.uniform(0.4, 1.0), width * dice.uniform(0.4, 0.8), dice
            )


def retina(seed: int) -> tuple[np.ndarray, Photograph]:
    """A green channel (0 … 255) of a generated eye, and what the networks read of it."""
    dice = np.random.default_rng(seed)
    sheet = Image.new("L", (FINER * SIZE, FINER * SIZE))
    for turn in np.arange(6) * np.pi / 3:
        branch(
            ImageDraw.Draw(sheet),
            np.array([0.2 * SIZE, 0.5 * SIZE]),
            turn + dice.normal(0, 0.3),
            dice.uniform(5, 8),
            dice,
        )
    cover = np.asarray(sheet.resize((SIZE, SIZE), Image.Resampling.BOX), np.float32) / 255
    rows, columns = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    view = np.hypot(rows, columns) < 0.47 * SIZE
    light = 110 - 60 * np.hypot(rows, columns) / SIZE + 12 * _field(dice, 40)
    seen = ndimage.gaussian_filter(cover, 1.0)
    green = light - 22 * seen + 1.5 * _field(dice, 1.0) + 1.2 * _field(dice, 3)
    green = np.where(view, green.clip(0, 255), 0).astype(np.float32)
    return green, Photograph(flattened(green, view), np.where(view, seen >= 0.35, -1).astype(np.int16))


def _field(dice: np.random.Generator, sigma: float) -> np.ndarray:
    """Smooth noise of standard deviation 1."""
    noise = ndimage.gaussian_filter(dice.normal(size=(SIZE, SIZE)), sigma)
    field: np.ndarray = noise / noise.std()
    return field


def judged(chances: np.ndarray, photo: Photograph) -> np.ndarray:
    """Colours: vessel found (white), missed (red), said where none is (blue)."""
    said, true = chances >= 0.5, photo.mask == 1
    colours = np.full((*said.shape, 3), NOTHING, np.uint8)
    for which, colour in ((said & true, RIGHT), (~said & true, MISSED), (said & ~true & photo.view, ADDED)):
        colours[which] = colour
    return colours


def main() -> None:
    """Draw one row of panels."""
    folder = Path(os.environ.get("MEDRAY_WORK", ""))
    if not (folder / weights_name(SHOWN[0])).exists():
        sys.exit("No weights in $MEDRAY_WORK: run benchmarks/drive.py with the same MEDRAY_WORK first.")
    green, photo = retina(seed=0)
    part = (slice(TOP, TOP + CROP), slice(LEFT, LEFT + CROP))
    panels = {"generated image": green[part], "truth": np.where(photo.mask[part] == 1, 255, 0)}
    regions = regions_of(photo, RECIPE)
    best = paint_classes(regions.labels, majority(regions.counts))
    panels[f"best answers of {len(regions.counts):,} regions"] = judged(best.astype(float), photo)[part]
    for name in SHOWN:
        network = ROWS[name].build()
        network.load_state_dict(load_file(folder / weights_name(name)))
        panels[name] = judged(score(ROWS[name], network.eval(), photo), photo)[part]
    figure = Figure(figsize=(2.2 * len(panels), 2.4), layout="constrained")
    for axes, (title, panel) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.imshow(panel, cmap="gray", interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    Image.open(buffer).convert("RGB").quantize(128, method=Image.Quantize.FASTOCTREE).save(
        PICTURES / "vessels.png", optimize=True
    )


if __name__ == "__main__":
    main()
