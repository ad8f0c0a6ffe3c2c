"""A small archive to segment: noisy images of a bright disc, masks of it and of the pixels that count."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

ROWS, COLUMNS = 44, 36
BAD = {"small": "mask_size", "strange": "mask_value", "absent": "mask_missing", "torn": "mask_unreadable"}
"""Images whose masks are bad, by what is wrong, and the reason."""
SIDES = ["train"] * 8 + ["val"] * 3 + ["test"] * 5
FORMATS = ("png", "tif", "gif")


def disc(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, mask (0 and 9) and region (0 and 1) of a number, uint8."""
    draw = np.random.default_rng(number)
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    row, column, radius = draw.uniform(14, ROWS - 14), draw.uniform(14, COLUMNS - 10), draw.uniform(6, 10)
    inside = (rows - row) ** 2 + (columns - column) ** 2 < radius**2
    image = np.clip(60 + 120 * inside + draw.normal(0, 20, inside.shape), 0, 255)
    return image.astype(np.uint8), (9 * inside).astype(np.uint8), (columns >= 6).astype(np.uint8)


def make_discs(folder: Path) -> Path:
    """The archive with its labels.csv: path, mask, region, patient_id, split. Two images of each patient."""
    for kind in ("images", "masks", "regions"):
        (folder / kind).mkdir(parents=True)
    rows = []
    names = [f"{number:02d}" for number in range(len(SIDES))] + list(BAD)
    for number, name in enumerate(names):
        image, mask, region = disc(number)
        mask[:, :6] = 77  # outside the region: any value
        if name == "small":
            mask = mask[1:]
        elif name == "strange":
            mask[20, 20] = 5
        paths = [f"images/{name}.png", f"masks/{name}.{FORMATS[number % 3]}", f"regions/{name}.png"]
        for path, array in zip(paths, (image, mask, region), strict=True):
            if not (name == "absent" and path.startswith("masks")):
                Image.fromarray(array).save(folder / path)
        if name == "torn":
            data = (folder / paths[1]).read_bytes()
            (folder / paths[1]).write_bytes(data[: len(data) // 2])
        side = SIDES[number] if number < len(SIDES) else "train"
        rows.append([*paths, f"{side}-{number // 2}", side])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows([["path", "mask", "region", "patient_id", "split"], *rows])
    return folder
