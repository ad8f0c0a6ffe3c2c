"""Aggregates: against numbers worked out by hand, whatever the files, and no sample left out."""

import numpy as np
import pyarrow as pa
import pytest

from medray.scoring.aggregate import TO_AGGREGATE, aggregate, count_groups
from medray.training.task import Classify

FACTS = {"model_id": "m", "recipe_id": "r"}
TWO = Classify(("clear", "nodule"), threshold=0.7)
THREE = Classify(("a", "b", "c"))
SCHEMA = pa.schema([*((name, pa.string()) for name in TO_AGGREGATE[:-1]), ("probabilities", pa.list_(pa.float32()))])


def _row(number, chances, patient="p", study="s", series="t", reason=None):
    status = "failed" if reason else "ok"
    found = (f"o{number}:0", f"o{number}", status, reason, patient, study, series, chances)
    return dict(zip(TO_AGGREGATE, found, strict=True))


def _table(*rows):
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def _yes(*chances):
    """Samples of one patient with these probabilities of the second class."""
    return _table(*(_row(number, [1 - chance, chance]) for number, chance in enumerate(chances)))


def _groups(*tables, task=TWO, rule="mean", level="patient"):
    return aggregate(tables, task, rule=rule, level=level, facts=FACTS).to_pylist()


@pytest.mark.parametrize(
    ("rule", "chance", "label"),
    [
        ("mean", (0.5 + 0.8 + 0.5) / 3, "clear"),  # 0.6 < 0.7
        ("max", 0.8, "nodule"),
        ("noisy_or", 1 - 0.5 * 0.2 * 0.5, "nodule"),  # 0.95
    ],
)
def test_two_classes_are_aggregated_as_by_hand_and_answered_at_the_threshold(rule, chance, label):
    [group] = _groups(_yes(0.5, 0.8, 0.5), rule=rule)
    assert group["probabilities"] == pytest.approx([1 - chance, chance], abs=1e-6)
    assert (group["label"], group["rule"], group["model_id"]) == (label, rule, "m")


def test_three_classes_have_their_mean_and_their_largest_divided_by_the_sum():
    samples = _table(_row(0, [0.6, 0.3, 0.1]), _row(1, [0.1, 0.2, 0.7]))
    [mean], [largest] = (_groups(samples, task=THREE, rule=rule) for rule in ("mean", "max"))
    assert mean["probabilities"] == pytest.approx([0.35, 0.25, 0.4], abs=1e-6)
    assert largest["probabilities"] == pytest.approx([0.6 / 1.6, 0.3 / 1.6, 0.7 / 1.6], abs=1e-6)
    assert mean["label"] == largest["label"] == "c"


def test_noisy_or_of_certainty_is_certain():
    [group] = _groups(_yes(1.0, 0.2), rule="noisy_or")
    assert group["probabilities"] == [0, 1]


def test_failed_samples_are_counted_and_a_group_of_them_alone_has_failed():
    good, bad = _row(0, [0.2, 0.8]), _row(1, None, reason="truncated_stream")
    alone = [_row(number, None, patient="q", reason=reason) for number, reason in ((2, "voi_missing"), (3, "bad_voi"))]
    one, other = _groups(_table(good, bad, *alone))
    assert (one["status"], one["reason"], one["samples"], one["ok"], one["failed"]) == ("ok", None, 2, 1, 1)
    assert one["probabilities"] == pytest.approx([0.2, 0.8])
    assert (other["status"], other["reason"], other["samples"], other["failed"]) == ("failed", "bad_voi", 2, 2)
    assert other["probabilities"] is None and other["label"] is None


def test_levels_nest_and_every_group_knows_what_it_is_of():
    rows = [_row(k, [0.5, 0.5], study=f"s{k // 2}", series=f"t{k}") for k in range(4)]
    found = {level: _groups(_table(*rows), level=level) for level in ("series", "study", "patient")}
    assert [len(groups) for groups in found.values()] == [4, 2, 1]
    assert [(row["series_key"], row["study_key"], row["patient_key"]) for row in found["series"]][3] == (
        "t3",
        "s1",
        "p",
    )
    assert [(row["series_key"], row["study_key"], row["patient_key"]) for row in found["study"]][1] == (None, "s1", "p")
    assert {row["keyed_by"] for row in found["patient"]} == {"patient_key"}


def test_samples_without_a_key_are_groups_of_their_objects_and_meet_nobody_else():
    rows = [_row(0, [0.1, 0.9], patient=None), _row(0, [0.3, 0.7], patient=None), _row(1, [1, 0], patient=None)]
    groups = _groups(_table(*rows, _row(2, [0.5, 0.5], patient="o0")))
    assert [(g["group_key"], g["keyed_by"], g["samples"]) for g in groups] == [
        ("o0", "object_id", 2),
        ("o0", "patient_key", 1),
        ("o1", "object_id", 1),
    ]
    assert groups[0]["probabilities"] == pytest.approx([0.2, 0.8]) and groups[0]["patient_key"] is None


@pytest.mark.parametrize("rule", ["mean", "max", "noisy_or"])
def test_how_the_rows_are_dealt_to_files_changes_nothing(rule):
    random = np.random.default_rng(0)
    chances = random.random(300)
    rows = [
        _row(
            k, None if k % 7 == 0 else [1 - p, p], patient=f"p{random.integers(20)}", reason="x" if k % 7 == 0 else None
        )
        for k, p in enumerate(chances)
    ]
    whole, cut = (
        _groups(_table(*rows), rule=rule),
        _groups(*(_table(*rows[k : k + 40]) for k in range(0, 300, 40)), rule=rule),
    )
    assert len(whole) == 20 and sum(row["samples"] for row in whole) == 300
    for one, other in zip(whole, cut, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert {**one, "probabilities": 0} == {**other, "probabilities": 0}


def test_what_is_counted_is_what_the_aggregates_say():
    table = _table(_row(0, [0.5, 0.5]), _row(1, None, reason="x"), _row(2, None, patient=None, reason="y"))
    counted = count_groups([table.drop_columns(["probabilities"])], "patient").to_pylist()
    assert counted == [
        {"group_key": "o2", "keyed_by": "object_id", "samples": 1, "ok": 0, "failed": 1},
        {"group_key": "p", "keyed_by": "patient_key", "samples": 2, "ok": 1, "failed": 1},
    ]
    assert all({**group, **row} == group for group, row in zip(_groups(table), counted, strict=True))


def test_predictions_without_rows_have_no_groups():
    assert _groups(_table()) == []
