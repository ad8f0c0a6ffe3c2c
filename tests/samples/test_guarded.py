"""A sample that ends or stalls the process of a function costs its own row: every other row is that of its batch."""

import os
import signal
import time
from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from medray.errors import MedrayError, Reason
from medray.samples import guarded
from medray.samples.guarded import Guarded, _batches, apart, given_up
from medray.samples.tables import SAMPLE, from_ipc, to_ipc

FAILED = 3  # the samples that are not ok from the start


def _samples(count, failed=()):
    rows = [
        {
            "sample_id": f"s{k}",
            "row": k,
            "frame": 0,
            "status": "failed" if k in failed else "ok",
            "reason": "decode_failed" if k in failed else None,
            "decoder": "a decoder",
            "flags": ["odd"],
            "placement": [k],
            "image": [] if k in failed else [float(k)],
        }
        for k in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLE)


def die(number):
    os.kill(os.getpid(), number)


def stall():
    time.sleep(60)


def _rows(samples, deeds):
    """Per sample its outcome, image and the number of images that were there with it."""
    there = [row["image"][0] for row in samples.to_pylist() if row["status"] == "ok"]
    for value in there:
        if int(value) in deeds:
            deeds[int(value)]()
    rows = samples.select(["sample_id", "status", "reason", "image", "decoder", "flags"])
    return rows.append_column("beside", pa.array([len(there)] * len(samples), pa.int64()))


def load(deeds):
    return partial(_rows, deeds=deeds)


def load_nothing():
    die(signal.SIGKILL)


def refuse(_):
    raise ValueError("Jane Doe")


def load_refusal():
    return refuse


def test_batches_hold_as_many_good_samples_as_a_batch_and_every_sample_once():
    samples = _samples(11, failed=(0, 4, 5, 10))
    batches = _batches(samples, 3)
    assert [part["status"].to_pylist().count("ok") for part in batches] == [3, 3, 1]
    assert pa.concat_tables(batches).equals(samples)
    assert [len(part) for part in _batches(_samples(2, failed=(0, 1)), 3)] == [2]
    assert [len(part) for part in _batches(_samples(6), 3)] == [3, 3]


def test_without_a_guilty_sample_the_answer_is_that_of_the_function():
    samples = _samples(7, failed=(FAILED,))
    batches = [load({})(part) for part in _batches(samples, 4)]
    assert apart(samples, partial(load, {}), 4, 60.0).equals(pa.concat_tables(batches))


@pytest.mark.parametrize(
    ("deeds", "reasons"),
    [
        ({5: partial(die, signal.SIGSEGV)}, {5: Reason.WORKER_KILLED}),
        ({0: partial(die, signal.SIGKILL), 2: partial(os._exit, 0)}, dict.fromkeys((0, 2), Reason.WORKER_KILLED)),
        ({1: stall}, {1: Reason.WORKER_STALLED}),
    ],
    ids=["a crash", "two in one batch", "a stall"],
)
def test_guilty_samples_fail_alone_and_the_others_are_answered_as_in_whole_batches(deeds, reasons):
    samples = _samples(8, failed=(FAILED,))
    found = apart(samples, partial(load, deeds), 4, 2.0).to_pylist()
    undisturbed = apart(samples, partial(load, {}), 4, 60.0).to_pylist()
    assert [row["sample_id"] for row in found] == samples["sample_id"].to_pylist()
    assert {k: row["reason"] for k, row in enumerate(found) if row["reason"] and k != FAILED} == reasons
    for k, (row, wanted) in enumerate(zip(found, undisturbed, strict=True)):
        if k in reasons:
            assert (row["status"], row["image"], row["decoder"], row["flags"]) == ("failed", None, None, ["odd"])
        else:
            assert row == wanted


def test_a_batch_that_dies_only_together_is_answered_one_by_one():
    found = apart(_samples(3), load_crowded, 3, 60.0).to_pylist()
    assert [(row["status"], row["beside"]) for row in found] == [("ok", 1)] * 3


def load_crowded():
    return lambda samples: die(signal.SIGKILL) if _good(samples) > 1 else _rows(samples, {})


def test_a_sample_that_was_ended_once_from_outside_is_not_guilty(tmp_path):
    found = apart(_samples(3), partial(load_unlucky, tmp_path / "mark"), 3, 60.0).to_pylist()
    assert [row["status"] for row in found] == ["ok"] * 3
    assert (tmp_path / "mark").read_text() == "xx"


def _good(samples):
    return samples["status"].to_pylist().count("ok")


def load_unlucky(mark):
    """Dies in the first batch, and once more at the first sample alone."""

    def answer(samples):
        deaths = mark.read_text() if mark.exists() else ""
        if _good(samples) and len(deaths) < 2:
            mark.write_text(deaths + "x")
            die(signal.SIGKILL)
        return _rows(samples, {})

    return answer


def test_a_process_that_cannot_load_is_not_started_for_ever():
    with pytest.raises(MedrayError, match="ended 3 times while it was loading"):
        apart(_samples(1), load_nothing, 4, 60.0)


def test_an_error_of_the_function_is_raised_here_without_its_text():
    with pytest.raises(MedrayError, match=r"A defect of medray: ValueError in guarded_process\.py") as caught:
        apart(_samples(1), load_refusal, 4, 60.0)
    assert "Jane" not in str(caught.value)


def test_the_process_ends_with_its_work():
    function = Guarded(partial(load, {}), 60.0)
    function(_samples(1))
    process = function._process
    assert function.end() == 0 == process.returncode


def test_a_sample_given_up_keeps_what_names_it_and_nothing_that_a_model_reads():
    (row,) = given_up(_samples(1), Reason.WORKER_KILLED).to_pylist()
    kept = {"sample_id": "s0", "row": 0, "frame": 0, "flags": ["odd"]}
    told = {"status": "failed", "reason": "worker_killed", "detail": guarded.DETAIL}
    assert row == {**dict.fromkeys(SAMPLE.names), **kept, **told}


def test_tables_go_through_bytes_without_the_rest_of_what_they_are_cut_from():
    samples = _samples(100)
    assert from_ipc(to_ipc(samples.slice(7, 3))).equals(samples.slice(7, 3))
    assert len(to_ipc(samples.slice(7, 3))) < len(to_ipc(samples)) / 2
    assert np.array(samples["row"]).tolist() == list(range(100))
