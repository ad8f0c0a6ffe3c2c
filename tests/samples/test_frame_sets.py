"""Samples of several frames: whole, each once, evenly thinned, and their frames those of the frames' own samples."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.errors import SettingsError
from medray.image_settings import DecodeSettings, GraphRecipe, SampleRecipe
from medray.samples.collate import batches, collate
from medray.samples.frame_sets import (
    FRAMES,
    KEYED_BY,
    SAMPLE_KEY,
    cut_samples,
    frame_counts,
    frames_of,
    sample_slices,
    sample_starts,
    with_frames,
    with_sample_keys,
)
from medray.samples.inputs import ModelInput, prepare_inputs
from medray.samples.isolated import end_decoding_process, prepare_unit
from medray.samples.tables import from_ipc, to_ipc
from medray.samples.units import WANTED
from medray.settings import Recipe
from tests.archive.makers import KEY, index_folder
from tests.samples.test_series_units import SERIES, index_of, shuffled
from tests.series import write_mixed

SERIES_SAMPLE = SampleRecipe("series", 4)
RECIPE = Recipe(size=16, sample=SERIES_SAMPLE, graph=GraphRecipe(regions=9))
FRAME_RECIPE = Recipe(size=16, graph=GraphRecipe(regions=9))


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """Rows of the mixed archive."""
    from medray.archive.rows import rows_to_table

    rows = rows_to_table(index_folder(write_mixed(tmp_path_factory.mktemp("mixed"))))
    yield rows.filter(pa.array([status != "skipped" for status in rows["status"].to_pylist()]))
    end_decoding_process()


@settings(max_examples=60, deadline=None)
@given(
    series=SERIES, seed=st.integers(0, 99), unit_bytes=st.integers(1, 20_000), of=st.sampled_from(["series", "study"])
)
def test_each_object_is_in_one_unit_and_each_sample_in_one_unit(series, seed, unit_bytes, of):
    index = shuffled(index_of(series, rows=4, columns=4, bits_allocated=8), seed)
    units = [unit.rows for unit in cut_samples(index, unit_bytes, SampleRecipe(of, 3))]
    held = [name for rows in units for name in rows["object_id"].to_pylist()]
    assert sorted(held) == sorted(index["object_id"].to_pylist())
    keys = [set(rows[SAMPLE_KEY].to_pylist()) for rows in units]
    assert sum(len(each) for each in keys) == len(set().union(*keys)) == len([count for count in series if count])
    for rows in units:
        assert len(sample_starts(rows)) == len(set(rows[SAMPLE_KEY].to_pylist()))


@settings(max_examples=60, deadline=None)
@given(series=SERIES, seed=st.integers(0, 99), number=st.integers(1, 5), held=st.integers(1, 3))
def test_parts_of_an_index_hold_each_row_once_and_whole_samples(series, seed, number, held):
    index, sample = shuffled(index_of(series), seed), SampleRecipe("series")
    slices = [index.slice(start, 5) for start in range(0, max(index.num_rows, 1), 5)]
    parts = [
        part
        for first in range(0, number, held)
        for part in sample_slices(slices, sample, number=number, first=first, held=held)
    ]
    assert len(parts) == number
    assert sorted(name for part in parts for name in part["object_id"].to_pylist()) == sorted(
        index["object_id"].to_pylist()
    )
    keys = [set(part[SAMPLE_KEY].to_pylist()) for part in parts]
    assert sum(len(each) for each in keys) == len(set(with_sample_keys(index, sample)[SAMPLE_KEY].to_pylist()))


@pytest.mark.parametrize(
    ("slices", "most", "taken"),
    [(5, 32, [0, 1, 2, 3, 4]), (10, 5, [1, 3, 5, 7, 9]), (10, 4, [1, 3, 6, 8]), (7, 1, [3]), (4, 3, [0, 2, 3])],
)
def test_a_large_sample_takes_the_middles_of_equal_parts_in_the_order_of_its_slices(slices, most, taken):
    [unit] = cut_samples(shuffled(index_of([slices]), 3), 10**9, SampleRecipe("series", most))
    wanted = unit.rows[WANTED].to_pylist()
    assert [place for place, frames in enumerate(wanted) if frames] == taken
    assert all(frames in ([], [0]) for frames in wanted)
    assert unit.rows["object_id"].to_pylist() == sorted(unit.rows["object_id"].to_pylist())


def test_frames_of_a_clip_are_taken_evenly_and_no_sample_has_less_than_one_frame():
    index = index_of([1], frames=100)
    [unit] = cut_samples(index, 10**9, SampleRecipe("clip", 4))
    assert unit.rows[WANTED].to_pylist() == [[12, 37, 62, 87]]
    with pytest.raises(SettingsError, match="--recipe.sample.frames is 0"):
        SampleRecipe("clip", 0)


def test_an_object_without_a_series_is_a_sample_of_its_own():
    index = index_of([2, 2])
    index = index.set_column(index.column_names.index("series_key"), "series_key", pa.nulls(4, pa.string()))
    keyed = with_sample_keys(index, SampleRecipe("series"))
    assert keyed[SAMPLE_KEY].equals(index["object_id"]) and set(keyed[KEYED_BY].to_pylist()) == {"object_id"}


def _samples(index, kind="image", recipe=RECIPE):
    [unit] = cut_samples(index, 10**9, recipe.sample)
    return prepare_unit(unit.rows, KEY, recipe, kind), unit.rows


def test_one_row_a_series_with_its_frames_counted(index):
    samples, _ = _samples(index)
    said = samples.select(["status", "frames_listed", "frames_failed", KEYED_BY]).to_pylist()
    listed = sorted((row["status"], row["frames_listed"], row["frames_failed"], row[KEYED_BY]) for row in said)
    assert listed == [
        ("failed", 1, 1, "object_id"),  # the broken file
        ("ok", 1, 0, "series_key"),
        ("ok", 3, 0, "series_key"),
        ("ok", 5, 0, "series_key"),  # of which four are taken
        ("ok", 5, 1, "series_key"),  # one slice is cut
        ("ok", 9, 0, "series_key"),
    ]
    assert sorted(frame_counts(samples).tolist()) == [0, 1, 3, 4, 4, 4]
    broken = samples.filter(pa.array([row["status"] == "failed" for row in said])).to_pylist()[0]
    assert broken["reason"] == "corrupt_header" and "none of 1 frames" in broken["detail"] and broken[FRAMES] == []


@pytest.mark.parametrize("kind", ["image", "graph", "regions"])
def test_the_frames_of_samples_are_those_of_the_frames_own_samples(index, kind):
    alone = prepare_unit(index, KEY, FRAME_RECIPE, kind).to_pylist()
    own = {row["sample_id"]: row for row in alone if row["status"] == "ok"}
    frames = frames_of(_samples(index, kind)[0]).to_pylist()
    assert len(frames) == len({row["sample_id"] for row in frames}) == 16
    assert all(row | {"row": 0} == own[row["sample_id"]] | {"row": 0} for row in frames)


def test_samples_come_through_storage_and_messages_and_any_choice_of_rows_as_they_were(index, tmp_path):
    samples, _ = _samples(index, "regions")
    pq.write_table(samples, tmp_path / "part.parquet", use_dictionary=False)
    assert pq.read_table(tmp_path / "part.parquet").to_pylist() == samples.to_pylist()
    assert from_ipc(pa.py_buffer(to_ipc(samples))).to_pylist() == samples.to_pylist()
    some = samples.take(pa.array([3, 1]))
    assert frames_of(some).num_rows == frame_counts(some).sum()
    assert with_frames(some, frames_of(some)).to_pylist() == some.to_pylist()
    assert (
        with_frames(samples.slice(2, 2), frames_of(samples.slice(2, 2))).to_pylist() == samples.slice(2, 2).to_pylist()
    )


@pytest.mark.parametrize("kind", ["image", "graph", "regions"])
def test_a_batch_holds_all_frames_and_says_whose_they_are(index, kind):
    samples, _ = _samples(index, kind)
    samples = samples.filter(pa.array([status == "ok" for status in samples["status"].to_pylist()]))
    samples = samples.append_column("label_number", pa.array(range(samples.num_rows), pa.int64()))
    batch, frames = collate(samples, RECIPE), collate(frames_of(samples), RECIPE)
    assert batch.inputs["sample"].tolist() == np.repeat(np.arange(5), frame_counts(samples)).tolist()
    assert batch.inputs["num_samples"] == len(batch) == 5 and batch.labels.tolist() == [0, 1, 2, 3, 4]
    assert all(np.array_equal(batch.inputs[name], value) for name, value in frames.inputs.items())
    assert [len(part) for part in batches(samples, RECIPE, 2)] == [2, 2, 1]


def test_several_recipes_and_flips_have_the_same_samples(index):
    [unit] = cut_samples(index, 10**9, SERIES_SAMPLE)
    inputs = [ModelInput(RECIPE, "image"), ModelInput(RECIPE, "image", (False, True)), ModelInput(RECIPE, "graph")]
    plain, flipped, graphs = prepare_inputs(unit.rows, KEY, inputs, DecodeSettings())
    assert plain["sample_id"].equals(graphs["sample_id"]) and plain["sample_id"].equals(flipped["sample_id"])
    images = [np.array(frames_of(each)["image"].to_pylist()).reshape(-1, 16, 16) for each in (plain, flipped)]
    assert np.array_equal(images[0][:, :, ::-1], images[1])


def test_only_wanted_frames_are_decoded_and_one_that_is_not_there_is_named(index):
    clip = index.filter(pa.array([frames == 9 for frames in index["frames"].to_pylist()]))
    rows = clip.append_column(WANTED, pa.array([[2, 7, 11]], pa.list_(pa.int32())))
    found = prepare_unit(rows, KEY, FRAME_RECIPE, "image").to_pylist()
    whole = {row["frame"]: row for row in prepare_unit(clip, KEY, FRAME_RECIPE, "image").to_pylist()}
    assert [row["frame"] for row in found] == [2, 7, 11] and found[:2] == [whole[2], whole[7]]
    assert (found[2]["status"], found[2]["reason"]) == ("failed", "frame_missing")
