"""medray/archive/mask_labels.py: images find their masks, and masks are no samples."""

from dataclasses import replace

import pyarrow as pa
import pytest

from medray.archive.identity import keyed_hash, unseal
from medray.archive.labels import read_labels
from medray.archive.mask_labels import COLUMNS, join_masks
from medray.archive.objects import rows_to_table
from medray.errors import LabelError, SettingsError
from medray.label_settings import LabelSettings
from tests.archive.makers import KEY, index_folder
from tests.discs import make_discs

CLASSES = {"disc": 9, "ground": 0}


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    return make_discs(tmp_path_factory.mktemp("discs") / "archive")


@pytest.fixture(scope="module")
def index(discs):
    return rows_to_table(index_folder(discs, paths="sealed"))


def settings(discs, **more) -> LabelSettings:
    return LabelSettings(str(discs / "labels.csv"), mask_column="mask", mask_classes=CLASSES, **more)


def joined(discs, index, **more) -> dict[str, dict]:
    images = index.filter(pa.array([status == "ok" for status in index["status"].to_pylist()]))
    table = join_masks(images, index.select(COLUMNS), settings(discs, **more), key=KEY, archive=str(discs))
    return {row["object_id"]: row for row in table.to_pylist()}


def named(rows, name):
    return rows[keyed_hash(KEY, name)]


def test_each_image_has_its_mask_and_region_whatever_their_format(discs, index):
    rows = joined(discs, index, region_column="region")
    for number, format in ((0, "png"), (1, "tif"), (2, "gif")):
        row = named(rows, f"images/{number:02d}.png")
        assert row["label"] == "masked" and row["split"] == "train"
        assert unseal(KEY, row["mask"]["uri"]).endswith(f"masks/{number:02d}.{format}")
        assert row["region"]["object_id"] == keyed_hash(KEY, f"regions/{number:02d}.png")
    assert named(rows, "images/02.png")["mask"]["reason"] == "not_an_image"


def test_masks_and_regions_are_no_samples(discs, index):
    rows = joined(discs, index, region_column="region")
    samples = [row for row in rows.values() if row["label"]]
    assert len(samples) == 20 and len(rows) > 50
    assert {row["object_id"] for row in samples} == {
        keyed_hash(KEY, f"images/{path.name}") for path in (discs / "images").iterdir()
    }


def test_a_mask_that_is_not_in_the_archive_is_known_by_its_id_alone(discs, index):
    mask = named(joined(discs, index), "images/absent.png")["mask"]
    assert mask.pop("object_id") and set(mask.values()) == {None}


def test_without_a_region_column_there_is_no_region(discs, index):
    assert {row["region"] for row in joined(discs, index).values()} == {None}


def test_no_path_of_a_mask_stands_in_the_table(discs, index):
    assert "masks/" not in str(joined(discs, index, region_column="region"))


def test_a_column_that_is_not_there_is_named_with_its_flag(discs):
    with pytest.raises(LabelError, match=r"no column 'vessels'.*--labels.mask_column"):
        read_labels(str(discs / "labels.csv"), replace(settings(discs), mask_column="vessels"))
    with pytest.raises(LabelError, match=r"no column 'field'.*--labels.region_column"):
        read_labels(str(discs / "labels.csv"), settings(discs, region_column="field"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"mask_column": "m", "mask_classes": {"a": 0, "b": 1}}, "is of a file of labels"),
        ({"file": "f", "mask_column": "m"}, "names two classes or more|must name two classes or more"),
        ({"file": "f", "mask_column": "m", "mask_classes": {"a": 1, "b": 1}}, r"\{a: 1, b: 1\}, and must name two"),
        ({"file": "f", "mask_classes": {"a": 0, "b": 1}}, "need --labels.mask_column"),
        ({"file": "f", "region_column": "r"}, "need --labels.mask_column"),
    ],
)
def test_masks_that_say_nothing_are_refused(given, said):
    with pytest.raises(SettingsError, match=said):
        LabelSettings(**given)


def test_classes_go_by_their_values_however_they_are_written(discs):
    assert list(settings(discs).mask_values.items()) == [("ground", 0), ("disc", 9)]
    assert settings(discs).task == "segment" and LabelSettings().task == "classify"
