"""medray/reports/mask_metrics.py, against scikit-learn over the pixels."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from medray.reports.mask_metrics import MASK_METRIC_NAMES, compute_mask_metrics, sum_masks
from medray.reports.numbers import by_key

CLASSES = ("ground", "disc", "ring")
Sample = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn(seed: int) -> Sample:
    """Truth, answers and probabilities: right more often than not, some pixels not counted."""
    draw = np.random.default_rng(seed)
    truth = draw.choice(4, (20, 30), p=[0.1, 0.6, 0.25, 0.05]).astype(np.int16) - 1
    logits = draw.normal(size=(3, 20, 30)) + 1.5 * (np.arange(3)[:, None, None] == truth)
    chances = (np.exp(logits) / np.exp(logits).sum(0)).astype(np.float32)
    return truth, chances.argmax(0).astype(np.int16), chances


SAMPLES = [drawn(seed) for seed in range(6)]
SUMS = [sum_masks(*sample, 3) for sample in SAMPLES]


def table(**more):
    return by_key(compute_mask_metrics(SUMS, CLASSES, patients=list("aabbcd"), **({"bootstrap": 0} | more)))


def test_each_metric_is_scikit_learns_over_all_counted_pixels() -> None:
    truth, answers = (np.concatenate([s[k][s[0] >= 0] for s in SAMPLES]) for k in (0, 1))
    chances = np.concatenate([s[2][:, s[0] >= 0] for s in SAMPLES], axis=1)
    rows = table()
    for number, name in enumerate(CLASSES):
        mine, answered = truth == number, answers == number
        expected = {
            "dice_pooled": f1_score(mine, answered),
            "accuracy": accuracy_score(mine, answered),
            "sensitivity": recall_score(mine, answered),
            "specificity": recall_score(~mine, ~answered),
        }
        for metric, value in expected.items():
            assert rows["all", name, metric]["value"] == pytest.approx(value), metric
        assert rows["all", name, "auroc"]["value"] == pytest.approx(roc_auc_score(mine, chances[number]), abs=1e-3)
        each = [f1_score((s[0] == number)[s[0] >= 0], (s[1] == number)[s[0] >= 0]) for s in SAMPLES]
        assert rows["all", name, "dice"]["value"] == pytest.approx(np.mean(each))
    assert rows["all", "macro", "accuracy"]["value"] == pytest.approx(accuracy_score(truth, answers))
    macro = np.mean([rows["all", name, "dice"]["value"] for name in CLASSES])
    assert rows["all", "macro", "dice"]["value"] == pytest.approx(macro)
    assert {(r["samples"], r["patients"]) for r in rows.values()} == {(6, 4)}


def test_bins_keep_ranks_at_both_ends_of_the_probabilities() -> None:
    """Rare classes: nearly all probabilities are near 0, and those of the others near 1."""
    draw = np.random.default_rng(0)
    truth = (draw.random((100, 100)) < 0.1).astype(np.int16)
    logits = draw.normal(-5, 1.5, truth.shape) + 2 * truth
    rare = (1 / (1 + np.exp(-logits))).astype(np.float32)
    sums = sum_masks(truth, (rare > 0.5).astype(np.int16), np.stack([1 - rare, rare]), 2)
    rows = by_key(compute_mask_metrics([sums], ("common", "rare"), patients=["a"], bootstrap=0))
    expected = roc_auc_score(truth.ravel(), rare.ravel())
    assert rows["all", "rare", "auroc"]["value"] == pytest.approx(expected, abs=1e-4)
    assert rows["all", "common", "auroc"]["value"] == pytest.approx(expected, abs=1e-3)


def test_intervals_hold_the_estimate_and_shrink_with_nothing_but_patients() -> None:
    rows = table(bootstrap=300)
    for metric in MASK_METRIC_NAMES:
        row = rows["all", "disc", metric]
        assert row["low"] < row["value"] < row["high"] and row["high"] - row["low"] < 0.1
    single = by_key(compute_mask_metrics(SUMS, CLASSES, patients=["a"] * 6, bootstrap=300))
    assert single["all", "disc", "dice"]["low"] is None


def test_a_sample_without_a_class_does_not_count_in_its_dice() -> None:
    nothing = np.zeros((4, 4), np.int16)
    sums = [SUMS[0], sum_masks(nothing, nothing, None, 3)]
    rows = by_key(compute_mask_metrics(sums, CLASSES, patients=["a", "b"], bootstrap=0))
    assert rows["all", "disc", "dice"]["value"] == pytest.approx(SUMS[0].dice[1])
    assert rows["all", "disc", "auroc"]["value"] is None  # one of the two has no probabilities


def test_what_the_model_did_not_see_is_wrong() -> None:
    truth = np.array([[0, 0, 1, 1]], np.int16)
    chances = np.array([[[0.9, np.nan, 0.1, np.nan]], [[0.1, np.nan, 0.9, np.nan]]], np.float32)
    sums = sum_masks(truth, np.array([[0, -1, 1, -1]], np.int16), chances, 2)
    rows = by_key(compute_mask_metrics([sums], ("no", "yes"), patients=["a"], bootstrap=0))
    assert rows["all", "macro", "accuracy"]["value"] == 0.5 and rows["all", "yes", "sensitivity"]["value"] == 0.5
    assert rows["all", "yes", "dice"]["value"] == pytest.approx(2 / 3)
    assert rows["all", "yes", "auroc"]["value"] == pytest.approx(roc_auc_score([0, 0, 1, 1], [0.1, 0, 0.9, 0]))


def test_subgroups_are_measured_by_themselves() -> None:
    rows = table(subgroups={"sex": ["F", "F", "M", "M", "M", None]})
    alone = by_key(compute_mask_metrics(SUMS[:2], CLASSES, patients=["a", "a"], bootstrap=0))
    assert rows["sex=F", "disc", "dice"]["value"] == alone["all", "disc", "dice"]["value"]
    assert {group for group, _, _ in rows} == {"all", "sex=F", "sex=M", "sex=not given"}
