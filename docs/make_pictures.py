"""Draw docs/pictures: one image under each step of a recipe, and under each augmentation.

python docs/make_pictures.py             a generated chest
python docs/make_pictures.py IMAGE OUT   a DICOM or PNG of yours, into a folder of yours
"""

import io
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from benchmarks.phantoms import draw_phantoms
from medray.archive.instance import Instance
from medray.archive.reading import read_instance
from medray.archive.sniffing import sniff
from medray.errors import SampleError
from medray.image_settings import AugmentSettings, StepRecipe
from medray.pixels.augmentation import apply_augmentation, draw_augmentation
from medray.pixels.prepare import prepare_image
from medray.pixels.values import frame_values
from medray.settings import Recipe

PICTURES = Path(__file__).with_name("pictures")
SIZE, ACROSS = 160, 5
STEPS: dict[str, Any] = {"crop": True, "median_px": 5, "nl_means": 0.8, "clahe": 2.0, "spacing_mm": 1.0}
STEPS |= {"z_score": "content", "contrast": 0.5, "brightness": 1.0}
AUGMENT: dict[str, Any] = {
    "flip_left_right": True,
    "flip_up_down": True,
    "rotate_degrees": 20.0,
    "scale": 0.3,
    "shift": 0.15,
}
AUGMENT |= {
    "crop": 0.4,
    "elastic": 0.06,
    "gamma": 0.8,
    "contrast": 1.0,
    "brightness": 1.0,
    "blur_px": 3.0,
    "noise": 0.5,
}
AUGMENT |= {"cut_out": 0.4}


def chest() -> Instance:
    """A generated chest with a dark border and noise, of 1.6 mm a pixel."""
    image = np.pad(draw_phantoms(2, 192, patients=1, seed=5)[1].image, ((10, 40), (20, 20)))
    noisy = np.clip(image + np.random.default_rng(0).normal(0, 0.02, image.shape) * (image > 0), 0, 1)
    png = bytes(imagecodecs.png_encode((255 * noisy).astype(np.uint8)))
    instance = read_instance(png, "png")
    return replace(instance, pixels=replace(instance.pixels, spacing_mm=(1.6, 1.6)))


def prepared(instance: Instance, **steps: Any) -> np.ndarray:
    """The first frame as model input."""
    recipe = Recipe(size=SIZE, steps=StepRecipe(**steps))
    return prepare_image(frame_values(instance, 0), instance.pixels, recipe)


def steps_sheet(instance: Instance) -> dict[str, np.ndarray]:
    """The image as it is, and under each step."""
    sheet = {"as it is": prepared(instance)}
    for name, value in STEPS.items():
        if name != "spacing_mm" or instance.pixels.spacing_mm:
            sheet[f"{name}: {value}"] = prepared(instance, **{name: value})
    return sheet


def augmentation_sheet(instance: Instance) -> dict[str, np.ndarray]:
    """The image as it is, under each augmentation, drawn large, and under all of them, drawn three times."""
    image = prepared(instance)
    sheet = {"as it is": image}
    for name, value in AUGMENT.items():
        alone = AugmentSettings(**{name: value})
        draws = [apply_augmentation(image, draw_augmentation(alone, seed)) for seed in range(8)]
        sheet[f"{name}: {value}"] = max(draws, key=lambda changed: float(np.abs(changed - image).mean()))
    mild = AugmentSettings(**{item.name: _half(AUGMENT[item.name]) for item in fields(AugmentSettings)})
    return sheet | {
        f"all, half as strong, draw {seed}": apply_augmentation(image, draw_augmentation(mild, seed))
        for seed in (1, 2, 3)
    }


def _half(value: Any) -> Any:
    return value if isinstance(value, bool) else value / 2


def draw(sheet: dict[str, np.ndarray], path: Path) -> None:
    """All images of a sheet with one scale of grey."""
    down = -(-len(sheet) // ACROSS)
    figure = Figure(figsize=(1.7 * ACROSS, 1.9 * down), layout="constrained")
    grid = figure.subplots(down, ACROSS).ravel()
    for axes in grid:
        axes.axis("off")
    low, high = (float(edge(next(iter(sheet.values())))) for edge in (np.min, np.max))
    for axes, (title, image) in zip(grid, sheet.items(), strict=False):
        axes.imshow(image.mean(axis=0), cmap="gray", vmin=low, vmax=high)
        axes.set_title(title, fontsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80)
    Image.open(buffer).convert("L").quantize(80).save(path, optimize=True)


def asked_for() -> tuple[Instance, Path]:
    """The image and the folder that the command line names, or the chest and the folder of the docs.

    Raises:
        SystemExit: there is no such file, or it is no image.
    """
    out, instance = PICTURES, chest()
    if len(sys.argv) > 1:
        try:
            content, out = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
            instance = read_instance(content, sniff(content))
        except (OSError, IndexError, SampleError) as error:
            sys.exit(f"{sys.argv[0]}: {error}. Give an image and a folder.")
    out.mkdir(exist_ok=True)
    return instance, out


def main() -> None:
    """Draw both sheets."""
    instance, out = asked_for()
    draw(steps_sheet(instance), out / "steps.png")
    draw(augmentation_sheet(instance), out / "augmentation.png")


if __name__ == "__main__":
    main()
