import random
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.archive.splits import assign_splits, check_no_leak, patient_groups, split_hash
from medray.errors import LabelError, LeakError, SettingsError
from medray.label_settings import SplitSettings

KEY = b"k" * 32


def table(rows: list[tuple[str, str | None, str | None, str | None]]) -> pa.Table:
    """(patient, study, label, split) a row."""
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], []]
    names = ("patient_key", "study_key", "label", "split")
    found = {name: pa.array(list(column), pa.string()) for name, column in zip(names, columns, strict=True)}
    return pa.table({"object_id": pa.array([f"o{n}" for n in range(len(rows))], pa.string())} | found)


def many(patients: int = 40, images: int = 3) -> list[tuple[str, str | None, str | None, str | None]]:
    return [(f"p{n}", f"s{n}-{i}", "ab"[n % 4 == 0], None) for n in range(patients) for i in range(images)]


def sides(found: pa.Table) -> dict[str, str | None]:
    return dict(zip(found["object_id"].to_pylist(), found["split"].to_pylist(), strict=True))


def test_patients_are_dealt_out_whole_and_in_their_shares():
    found = assign_splits(table(many()), SplitSettings(), KEY)
    by_patient = {}
    for patient, side in zip(found["patient_key"].to_pylist(), found["split"].to_pylist(), strict=True):
        by_patient.setdefault(patient, set()).add(side)
    assert all(len(found) == 1 for found in by_patient.values())
    assert Counter(side for found in by_patient.values() for side in found) == {"train": 28, "validation": 6, "test": 6}


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20), st.sampled_from("ab")), min_size=1), st.integers(0, 9)
)
def test_no_patient_and_no_study_ever_stands_on_two_sides(drawn, seed):
    rows = [(f"p{patient}", f"s{study}", label, None) for patient, study, label in drawn]
    try:
        found = assign_splits(table(rows), SplitSettings(seed=seed), KEY)
    except LabelError:
        return
    for column in ("patient_key", "study_key"):
        pairs = set(zip(found[column].to_pylist(), found["split"].to_pylist(), strict=True))
        assert len(pairs) == len({name for name, _ in pairs})


def test_the_split_does_not_depend_on_the_rows_order():
    original = table(many())
    order = list(range(len(original)))
    random.Random(1).shuffle(order)
    first, second = (assign_splits(t, SplitSettings(), KEY) for t in (original, original.take(pa.array(order))))
    assert sides(first) == sides(second) and split_hash(first) == split_hash(second)


def test_another_seed_or_key_deals_otherwise():
    found = {
        split_hash(assign_splits(table(many()), SplitSettings(seed=seed), key))
        for seed in (0, 1)
        for key in (KEY, b"j" * 32)
    }
    assert len(found) == 4


def test_every_class_trains_though_it_has_two_patients():
    for seed in range(20):
        rows = [*many(20), ("x", None, "rare", None), ("y", None, "rare", None)]
        found = assign_splits(table(rows), SplitSettings(seed=seed, test_fraction=0.4, validation_fraction=0.4), KEY)
        assert ("rare", "train") in set(zip(found["label"].to_pylist(), found["split"].to_pylist(), strict=True))


def test_patients_who_share_a_study_are_one_group():
    groups = patient_groups(
        table([("p1", "s1", "a", None), ("p2", "s1", "a", None), ("p2", "s2", "a", None), ("p3", "s3", "b", None)])
    )
    assert groups[0] == groups[1] == groups[2] != groups[3]


def test_a_missing_study_links_nobody():
    groups = patient_groups(table([("p1", None, "a", None), ("p2", None, "a", None)]))
    assert groups[0] != groups[1]


def test_a_split_column_holds_and_rows_without_a_side_stay_out():
    rows = [("p1", None, "a", "train"), ("p2", None, "b", "train"), ("p3", None, "a", "val"), ("p4", None, "b", "test")]
    found = assign_splits(table([*rows, ("p5", None, "a", None), ("p6", None, None, "test")]), SplitSettings(), KEY)
    assert found["split"].to_pylist() == ["train", "train", "validation", "test", None, None]


def test_without_a_validation_side_training_patients_validate():
    rows = [(p, s, label, "train") for p, s, label, _ in many(20)] + [
        ("t", None, "a", "test"),
        ("u", None, "b", "test"),
    ]
    counts = Counter(assign_splits(table(rows), SplitSettings(), KEY)["split"].to_pylist())
    assert counts == {"train": 51, "validation": 9, "test": 2}


def test_a_patient_on_two_sides_is_refused_by_keyed_hash():
    rows = [("p1", None, "a", "train"), ("p1", None, "a", "test"), ("p2", None, "b", "train"), ("p3", None, "b", "val")]
    with pytest.raises(LeakError, match="1 patients .* patient_key p1"):
        assign_splits(table(rows), SplitSettings(), KEY)


def test_a_study_shared_over_two_sides_is_a_leak():
    with pytest.raises(LeakError, match="p1, p2"):
        check_no_leak(table([("p1", "s", "a", "train"), ("p2", "s", "a", "test")]))


def test_a_leak_through_an_image_of_no_side_is_found():
    rows = [("p1", "s1", "a", "train"), ("p1", "s2", "a", None), ("p2", "s2", "a", "test")]
    with pytest.raises(LeakError):
        check_no_leak(table(rows))


def test_a_class_with_a_single_patient_is_named():
    with pytest.raises(LabelError, match="class 'rare' has a single patient"):
        assign_splits(table([*many(), ("x", None, "rare", None), ("x", None, "rare", None)]), SplitSettings(), KEY)


def test_classes_that_look_like_patients_are_counted_and_not_named():
    with pytest.raises(LabelError, match="40 of 40 classes") as caught:
        assign_splits(table([(f"p{n}", None, f"CANARY-{n}", None) for n in range(40)]), SplitSettings(), KEY)
    assert "CANARY" not in str(caught.value)


def test_a_class_that_never_trains_is_refused():
    rows = [("p1", None, "a", "train"), ("p2", None, "a", "val"), ("p3", None, "b", "val"), ("p4", None, "c", "val")]
    with pytest.raises(LabelError, match="no image on the training side"):
        assign_splits(table(rows), SplitSettings(), KEY)


def test_a_name_that_no_side_lists_is_refused():
    with pytest.raises(LabelError, match="'fold0'"):
        assign_splits(table([("p1", None, "a", "fold0")]), SplitSettings(), KEY)


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (-0.1, 0.2)])
def test_fractions_that_leave_nothing_are_refused(fractions):
    with pytest.raises(SettingsError, match="nothing to train on"):
        assign_splits(table(many()), SplitSettings(validation_fraction=fractions[0], test_fraction=fractions[1]), KEY)


def test_no_label_at_all_is_refused():
    with pytest.raises(LabelError, match="No image has a label"):
        assign_splits(table([("p1", None, None, None)]), SplitSettings(), KEY)


def test_the_split_hash_changes_with_one_object():
    rows = [("p1", None, "a", "train"), ("p2", None, "a", "test")]
    assert split_hash(table(rows)) != split_hash(table([rows[0], ("p2", None, "a", "train")]))
