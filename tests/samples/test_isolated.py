"""A frame that kills, stalls or swells its decoder costs one row: its neighbours are those of a healthy unit."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from medray.errors import MedrayError, Reason
from medray.image_settings import DecodeSettings, StepRecipe
from medray.samples import isolated
from medray.samples.isolated import end_decoding_process, isolated_images_of, prepare_unit
from medray.samples.prepare import images_of, is_drawn
from medray.samples.request import UNDER_WAY
from medray.settings import Recipe
from tests.archive.makers import KEY, dicom_bytes
from tests.samples.test_prepare import _noise, _png, _unit

RECIPE = Recipe(size=32)
SLOW = 3000  # rows and columns of noise: two seconds of JPEG 2000


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    end_decoding_process()


@pytest.fixture(scope="module")
def slow_image():
    """Noise as JPEG 2000 in a DICOM object: about two seconds of decoding, and valid."""
    noise = np.random.default_rng(0).integers(0, 2**16, (SLOW, SLOW), np.uint16)
    code = imagecodecs.jpeg2k_encode(noise, codecformat="j2k", reversible=True)
    return dicom_bytes(noise, JPEG2000Lossless, PixelData=encapsulate([code]))


def _mixed(folder):
    good = dicom_bytes(_noise(3, 20, 24))
    return _unit(folder, a=good, b=good[:-200], c=_png(_noise(9, 9).astype(np.uint8)), d=dicom_bytes(_noise(30, 9)))


@pytest.mark.parametrize("steps", [StepRecipe(), StepRecipe(crop=True, median_px=3, nl_means=0.8, clahe=2.0)])
def test_the_process_answers_exactly_what_this_one_would(tmp_path, steps):
    rows, recipe = _mixed(tmp_path), replace(RECIPE, steps=steps)
    there = isolated_images_of(rows, KEY, recipe)
    assert there.num_rows > 5
    assert there.equals(images_of(rows, KEY, recipe))


def test_a_unit_without_images_and_a_unit_after_it_are_answered(tmp_path):
    nothing = _unit(tmp_path, a=b"not an image")
    assert isolated_images_of(nothing, KEY, RECIPE).num_rows == 0
    (tmp_path / "a").unlink()
    assert isolated_images_of(_unit(tmp_path, b=dicom_bytes(_noise(9, 9))), KEY, RECIPE).num_rows == 1


def test_the_images_outlive_the_next_unit(tmp_path):
    (tmp_path / "one").mkdir(), (tmp_path / "two").mkdir()
    first = isolated_images_of(_unit(tmp_path / "one", a=dicom_bytes(_noise(9, 9))), KEY, RECIPE)
    held = first["image"].to_pylist()
    isolated_images_of(_unit(tmp_path / "two", a=dicom_bytes(_noise(9, 9, top=9))), KEY, RECIPE)
    assert first["image"].to_pylist() == held


def _in_the_middle(act):
    """Call `act` with the decoding process's id when it is at row 1, frame 0."""
    while (process := isolated._processes.get(os.getpid())) is None:
        time.sleep(0.01)
    while True:
        for link in Path(f"/proc/{process.popen.pid}/fd").glob("*"):
            try:
                if (
                    "memfd:medray" in os.readlink(link)
                    and UNDER_WAY.unpack(link.read_bytes()[: UNDER_WAY.size])[1] == 1
                ):
                    return act(process.popen.pid)
            except (OSError, ValueError):  # closed meanwhile
                continue
        time.sleep(0.01)


def _with_neighbours(folder, slow):
    good = dicom_bytes(_noise(2, 20, 24))
    return _unit(folder, a=good, b=slow, c=good)


def test_a_share_of_the_frames_is_decoded_twice(tmp_path):
    rows = _unit(tmp_path, **{f"n{number}": dicom_bytes(_noise(9, 9, top=number + 1)) for number in range(12)})
    drawn = [is_drawn(f"{name}:0", 0.5) for name in rows["object_id"].to_pylist()]
    samples = isolated_images_of(rows, KEY, RECIPE, DecodeSettings(cross_check=0.5)).to_pylist()
    assert ["cross_checked" in sample["flags"] for sample in samples] == drawn
    assert 0 < sum(drawn) < 12


def test_a_frame_larger_than_the_limit_fails_alone(tmp_path):
    rows = _unit(tmp_path, a=dicom_bytes(_noise(9, 9)), b=dicom_bytes(_noise(9, 10)))
    samples = isolated_images_of(rows, KEY, RECIPE, DecodeSettings(max_samples=81)).to_pylist()
    assert [sample["reason"] for sample in samples] == [None, "image_too_large"]


def _assert_only_row_1_failed(samples, rows, reason):
    healthy = (
        images_of(rows.slice(0, 1), KEY, RECIPE).to_pylist() + images_of(rows.slice(2, 1), KEY, RECIPE).to_pylist()
    )
    found = samples.to_pylist()
    guilty = [row for row in found if row["row"] == 1]
    assert [(row["status"], row["reason"], row["image"]) for row in guilty] == [("failed", reason.value, [])]
    kept = [{**row, "row": None} for row in found if row["row"] != 1]
    assert kept == [{**row, "row": None} for row in healthy]
    assert [row["row"] for row in found] == [0, 0, 1, 2, 2]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the test finds the frame under way by Linux's memfd")
@pytest.mark.parametrize(
    ("ended_by", "reason"),
    [
        (signal.SIGSEGV, Reason.DECODER_CRASHED),
        pytest.param(signal.SIGABRT, Reason.DECODER_CRASHED, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, Reason.DECODER_OUT_OF_MEMORY, marks=pytest.mark.slow),  # what the kernel does
    ],
)
def test_a_frame_whose_decoder_dies_costs_itself_alone(tmp_path, slow_image, ended_by, reason):
    rows = _with_neighbours(tmp_path, slow_image)
    killer = threading.Thread(target=_in_the_middle, args=(lambda pid: os.kill(pid, ended_by),), daemon=True)
    killer.start()
    _assert_only_row_1_failed(isolated_images_of(rows, KEY, RECIPE), rows, reason)


def test_a_frame_that_takes_too_long_costs_itself_alone(tmp_path, slow_image):
    rows = _with_neighbours(tmp_path, slow_image)
    samples = isolated_images_of(rows, KEY, RECIPE, DecodeSettings(frame_seconds=1.0))
    _assert_only_row_1_failed(samples, rows, Reason.DECODER_TIMEOUT)


def test_a_frame_that_takes_too_much_memory_costs_itself_alone(tmp_path):
    rows = _with_neighbours(tmp_path, dicom_bytes(np.zeros((14000, 14000), np.uint8)))
    samples = isolated_images_of(rows, KEY, RECIPE, DecodeSettings(gibibytes=1.0))
    _assert_only_row_1_failed(samples, rows, Reason.DECODER_OUT_OF_MEMORY)


def test_an_error_of_the_unit_is_raised_here(tmp_path):
    rows = _unit(tmp_path, a=dicom_bytes(_noise(9, 9)))
    with pytest.raises(MedrayError, match="key"):
        prepare_unit(rows, b"another key, sixteen bytes", RECIPE, "image")


def test_a_process_that_cannot_live_is_not_started_for_ever(tmp_path, monkeypatch):
    rows = _unit(tmp_path, a=dicom_bytes(_noise(9, 9)))
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(MedrayError, match="ended 4 times between frames"):
        isolated_images_of(rows, KEY, RECIPE)


def test_memory_is_used_again_only_when_nothing_lies_in_it(tmp_path):
    rows = _unit(tmp_path, a=dicom_bytes(_noise(9, 9)))
    first = isolated_images_of(rows, KEY, RECIPE)
    second = isolated_images_of(rows, KEY, RECIPE)
    places = [table["image"].chunk(0).values.buffers()[1].address for table in (first, second)]
    assert places[0] != places[1]
    image = second["image"].chunk(0).values[:4]
    del second
    third = isolated_images_of(rows, KEY, RECIPE)
    assert third["image"].chunk(0).values.buffers()[1].address not in places
    del first, image
    fourth = isolated_images_of(rows, KEY, RECIPE)
    assert fourth["image"].chunk(0).values.buffers()[1].address in places
