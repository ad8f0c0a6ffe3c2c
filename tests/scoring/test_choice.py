"""medray/scoring/choice.py: which samples are explained."""

import pyarrow as pa
import pytest

from medray.scoring.choice import choose_explained, rows_to_explain

CLASSES = ["clear", "nodule", "mass"]
ANSWERS = [  # object, frame, label, its probability
    ("a", 0, "clear", 0.9), ("b", 0, "nodule", 0.6), ("b", 1, "nodule", 0.8), ("b", 2, None, None),
    ("c", 0, "mass", 0.5), ("d", 0, "nodule", 0.8), ("e", 0, "clear", 0.4),
]  # fmt: skip


@pytest.fixture
def predictions() -> pa.Table:
    rows = []
    for name, frame, label, chance in ANSWERS:
        chances = [chance if label == other else (1 - chance) / 2 for other in CLASSES] if label else None
        key = {"sample_id": f"{name}:{frame}", "object_id": name, "frame": frame, "label": label}
        rows.append({**key, "status": "ok" if label else "failed", "probabilities": chances})
    return pa.Table.from_pylist(rows)


def ids(chosen: pa.Table) -> list[str]:
    return chosen["sample_id"].to_pylist()


def test_all_is_every_scored_sample(predictions):
    assert ids(choose_explained(predictions, "all", 1, CLASSES)) == ["a:0", "b:0", "b:1", "c:0", "d:0", "e:0"]


def test_flagged_is_what_is_not_of_the_first_class(predictions):
    assert ids(choose_explained(predictions, "flagged", 1, CLASSES)) == ["b:0", "b:1", "c:0", "d:0"]


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (1, ["a:0", "b:1", "c:0"]),
        (2, ["a:0", "e:0", "b:1", "d:0", "c:0"]),
        (9, ["a:0", "e:0", "b:1", "d:0", "b:0", "c:0"]),
    ],
)
def test_top_takes_the_surest_answers_of_each_class_and_breaks_ties_by_sample_id(predictions, top, expected):
    assert ids(choose_explained(predictions, "top", top, CLASSES)) == expected


def test_rows_to_explain_say_the_frames_of_each_object_once(predictions):
    index = pa.table({"object_id": ["e", "b", "x", "d"], "length": [1, 2, 3, 4]})
    rows = rows_to_explain(index, choose_explained(predictions, "flagged", 1, CLASSES)).to_pylist()
    assert rows == [
        {"object_id": "b", "length": 2, "chosen_frames": [0, 1], "chosen_labels": ["nodule", "nodule"]},
        {"object_id": "d", "length": 4, "chosen_frames": [0], "chosen_labels": ["nodule"]},
    ]


def test_nothing_scored_is_nothing_to_explain(predictions):
    none = choose_explained(predictions.slice(3, 1), "top", 5, CLASSES)
    assert rows_to_explain(pa.table({"object_id": ["b"]}), none).num_rows == 0
