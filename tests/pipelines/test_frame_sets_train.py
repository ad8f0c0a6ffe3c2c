"""A model trained on whole series finds the one slice that its label is about."""

import csv

import numpy as np
import pytest

from medray import tables
from medray.image_settings import SampleRecipe
from medray.pipelines.index import index
from medray.pipelines.score import score
from medray.pipelines.train import train
from medray.settings import (
    IndexSettings,
    LabelSettings,
    OptimizerSettings,
    Recipe,
    ScoreSettings,
    SplitSettings,
    TrainSettings,
)
from tests.series import SIDE, noise, write_slice

SERIES, SLICES = 60, 6


@pytest.fixture(scope="module")
def planted(ray_local, tmp_path_factory):
    """Series of noise, every other one with a bright square in one of its slices; the index, and which slice it is."""
    folder = tmp_path_factory.mktemp("planted")
    (folder / "archive").mkdir()
    draw, places = np.random.default_rng(0), {}
    lines = []
    for number in range(1, SERIES + 1):
        places[number] = int(draw.integers(SLICES)) if number % 2 else None
        for place in range(SLICES):
            pixels = noise(SIDE, SIDE, seed=1000 * number + place) // 4
            if place == places[number]:
                row, column = draw.integers(2, SIDE - 10, 2)
                pixels[row : row + 8, column : column + 8] += 3000
            write_slice(folder / "archive", number, number, 1, place, pixels)
        lines.append({"series_instance_uid": f"1.2.{number}.1", "label": "square" if number % 2 else "nothing"})
    with open(folder / "labels.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)
    index(IndexSettings(str(folder / "archive"), str(folder / "index"), paths="plain"))
    return folder, places


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_attention_lies_on_the_slice_that_the_label_is_about(planted, workers):
    folder, places = planted
    out = folder / f"model-{workers}"
    manifest = train(
        TrainSettings(
            str(folder / "index"),
            str(out),
            labels=LabelSettings(str(folder / "labels.csv"), join="series_instance_uid"),
            split=SplitSettings(validation_fraction=0.2, test_fraction=0.3),
            recipe=Recipe(size=SIDE, ct_window=None, sample=SampleRecipe("series")),
            optimizer=OptimizerSettings(epochs=25, batch_size=8 // max(workers, 1)),
            num_workers=workers,
        )
    )
    assert manifest["summary"]["test_auroc"]["mean"] > 0.95
    scores = folder / f"scores-{workers}"
    score(ScoreSettings(str(folder / "index"), str(scores), manifest["bundles"][0]))
    numbers = dict(_number_and_place(folder))
    found = []
    for row in tables.read_table(str(scores)).to_pylist():
        assert row["frames_listed"] == SLICES
        number = numbers[row["frame_ids"][0].partition(":")[0]][0]
        if places[number] is not None:
            weightiest = row["frame_ids"][int(np.argmax(row["frame_weights"]))].partition(":")[0]
            found.append(numbers[weightiest][1] == places[number])
    assert len(found) == SERIES // 2 and np.mean(found) > 0.9


def _number_and_place(folder):
    """Of each object its series and slice, by the name of its file."""
    for row in tables.read_table(str(folder / "index")).to_pylist():
        _, series, _, place = row["uri"].rpartition("/")[2].removesuffix(".dcm").split("-")
        yield row["object_id"], (int(series), int(place))
