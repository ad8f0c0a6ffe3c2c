import time

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as reference

from medray.errors import LabelError
from medray.reports.metrics import compute_metrics
from medray.schema import METRICS


def scored(samples: int, classes: int, seed: int = 0, decimals: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities; rounding the scores makes many ties."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    logits = np.round(generator.normal(size=(samples, classes)) + 1.2 * np.eye(classes)[labels], decimals)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if classes == 2:
        positive = np.round(probabilities[:, 1], decimals)
        probabilities = np.stack([1 - positive, positive], axis=1)
    return labels, probabilities


def look_up(table: pa.Table, label: str, metric: str, subgroup: str = "all") -> dict:
    rows = [
        row for row in table.to_pylist() if (row["label"], row["metric"], row["subgroup"]) == (label, metric, subgroup)
    ]
    assert len(rows) == 1
    return rows[0]


def measure(labels: np.ndarray, probabilities: np.ndarray, **options: object) -> pa.Table:
    classes = [f"class {number}" for number in range(probabilities.shape[1])]
    settings = {"threshold": None, "patients": [str(row) for row in range(len(labels))], "bootstrap": 0} | options
    return compute_metrics(labels, probabilities, classes, **settings)


@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_rank_metrics_equal_scikit_learn_with_and_without_ties(decimals: int) -> None:
    labels, probabilities = scored(701, 2, decimals=decimals)
    table = measure(labels, probabilities, threshold=0.4)
    auroc = reference.roc_auc_score(labels, probabilities[:, 1])
    precision = reference.average_precision_score(labels, probabilities[:, 1])
    assert look_up(table, "class 1", "auroc")["value"] == pytest.approx(auroc, abs=1e-12)
    assert look_up(table, "class 1", "average_precision")["value"] == pytest.approx(precision, abs=1e-12)


def test_metrics_at_the_threshold_equal_scikit_learn() -> None:
    labels, probabilities = scored(503, 2)
    table, predicted = measure(labels, probabilities, threshold=0.37), (probabilities[:, 1] >= 0.37).astype(int)
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted),
        "f1": reference.f1_score(labels, predicted),
        "sensitivity": reference.recall_score(labels, predicted),
        "specificity": reference.recall_score(labels, predicted, pos_label=0),
        "brier_score": reference.brier_score_loss(labels, probabilities[:, 1]),
        "prevalence": labels.mean(),
    }
    for name, value in expected.items():
        assert look_up(table, "class 1", name)["value"] == pytest.approx(value, abs=1e-12), name


def test_macro_of_three_classes_equals_scikit_learn() -> None:
    labels, probabilities = scored(400, 3, seed=4)
    table, predicted = measure(labels, probabilities, threshold=0.9), probabilities.argmax(axis=1)
    expected = {
        "auroc": reference.roc_auc_score(labels, probabilities, multi_class="ovr"),
        "average_precision": reference.average_precision_score(np.eye(3)[labels], probabilities),
        "accuracy": reference.accuracy_score(labels, predicted),
        "f1": reference.f1_score(labels, predicted, average="macro"),
        "sensitivity": reference.recall_score(labels, predicted, average="macro"),
    }
    for name, value in expected.items():
        assert look_up(table, "macro", name)["value"] == pytest.approx(value, abs=1e-12), name
    assert look_up(table, "macro", "prevalence")["value"] is None


def test_calibration_error_equals_its_definition_bin_by_bin() -> None:
    labels, probabilities = scored(600, 3, seed=2, decimals=5)
    winning, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (winning >= low) & (winning < low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - winning[inside].mean())
    table = measure(labels, probabilities)
    assert look_up(table, "macro", "expected_calibration_error")["value"] == pytest.approx(expected, abs=1e-12)


def test_a_perfectly_sure_model_has_no_calibration_error() -> None:
    labels = np.array([0, 1, 1, 0])
    table = measure(labels, np.eye(2)[labels])
    assert look_up(table, "macro", "expected_calibration_error")["value"] == 0
    assert look_up(table, "macro", "auroc")["value"] == 1


def test_what_one_class_alone_leaves_undefined_is_null_and_never_one_half() -> None:
    labels, probabilities = np.ones(20, dtype=int), scored(20, 2)[1]
    table = measure(labels, probabilities, bootstrap=50)
    for name in ("auroc", "average_precision", "specificity"):
        row = look_up(table, "class 1", name)
        assert (row["value"], row["low"], row["high"]) == (None, None, None), name
    assert look_up(table, "macro", "auroc")["value"] is None
    assert look_up(table, "class 1", "sensitivity")["value"] is not None


def test_one_patient_gives_no_interval() -> None:
    labels, probabilities = scored(30, 2)
    row = look_up(measure(labels, probabilities, patients=["p"] * 30, bootstrap=50), "class 1", "auroc")
    assert row["value"] is not None
    assert (row["low"], row["high"], row["patients"]) == (None, None, 1)


def test_the_order_of_rows_changes_neither_numbers_nor_intervals() -> None:
    labels, probabilities = scored(300, 2)
    patients = [f"p{number}" for number in np.random.default_rng(1).integers(0, 90, 300)]
    shuffled = np.random.default_rng(2).permutation(300)
    there = measure(labels, probabilities, patients=patients, bootstrap=100)
    back = measure(
        labels[shuffled], probabilities[shuffled], patients=[patients[row] for row in shuffled], bootstrap=100
    )
    for column in ("value", "low", "high"):
        np.testing.assert_allclose(
            there[column].to_numpy().astype(float), back[column].to_numpy().astype(float), atol=1e-12
        )


def test_a_subgroup_has_the_numbers_of_its_rows_alone() -> None:
    labels, probabilities = scored(240, 2)
    sexes = np.where(np.arange(240) % 3 == 0, "F", "M")
    table = measure(labels, probabilities, subgroups={"patient_sex": [None if sex == "M" else sex for sex in sexes]})
    row, female = look_up(table, "class 1", "auroc", "patient_sex=F"), sexes == "F"
    assert row["value"] == pytest.approx(reference.roc_auc_score(labels[female], probabilities[female, 1]), abs=1e-12)
    assert row["samples"] == 80
    assert look_up(table, "class 1", "auroc", "patient_sex=not given")["samples"] == 160


def test_the_table_has_the_explicit_schema() -> None:
    assert measure(*scored(40, 3)).schema.equals(METRICS, check_metadata=True)


def test_a_thousand_resamples_of_5856_rows_take_seconds() -> None:
    labels, probabilities = scored(5856, 2, decimals=12)
    patients = [f"p{number}" for number in np.random.default_rng(0).integers(0, 3000, 5856)]
    start = time.perf_counter()
    measure(labels, probabilities, patients=patients, bootstrap=1000)
    assert time.perf_counter() - start < 8


@pytest.mark.parametrize(
    ("labels", "probabilities", "says"),
    [
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "0 … 1"),
        ([0, 1], [[0.5, 0.5], [np.nan, 0.5]], "1 samples"),
        ([0, 1], [[0.5, 0.5], [-0.1, 1.1]], "1 samples"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(labels: list, probabilities: list, says: str) -> None:
    with pytest.raises(LabelError, match=says):
        measure(np.array(labels), np.array(probabilities))


def test_a_sample_without_its_patient_is_refused() -> None:
    with pytest.raises(LabelError, match="2 labels, 2 rows of probabilities, 1 patients"):
        measure(np.array([0, 1]), np.eye(2), patients=["p"])
