"""medray/training/measure.py."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medray.training.measure import macro_auroc, weighed_auroc


def test_the_auroc_is_scikit_learns_also_with_ties() -> None:
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, 400), rng.dirichlet(np.ones(3), 400).round(1)
    wanted = roc_auc_score(labels, scores / scores.sum(1, keepdims=True), multi_class="ovr")
    assert macro_auroc(labels, scores / scores.sum(1, keepdims=True)) == pytest.approx(wanted, abs=1e-12)


def test_a_class_that_is_missing_counts_nowhere() -> None:
    labels, scores = (
        np.array([0, 1, 1, 0]),
        np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.7, 0.2, 0.1]]),
    )
    assert macro_auroc(labels, scores) == pytest.approx((1.0 + 1.0) / 2)
    assert np.isnan(macro_auroc(np.zeros(4, int), scores))


def test_places_weigh_as_many_pixels_as_they_have() -> None:
    rng = np.random.default_rng(1)
    scores, ups, downs = rng.random(30).round(1), rng.integers(0, 5, 30), rng.integers(0, 5, 30)
    labels = np.concatenate([np.repeat(1, ups.sum()), np.repeat(0, downs.sum())])
    apart = np.concatenate([np.repeat(scores, ups), np.repeat(scores, downs)])
    assert weighed_auroc(scores, ups, downs) == pytest.approx(roc_auc_score(labels, apart), abs=1e-12)


def test_a_process_that_scores_does_not_load_what_only_reports_need() -> None:
    """scikit-learn alone doubles the time that each process of a job takes to start."""
    code = "import sys, medray.pipelines.score; print({'sklearn', 'matplotlib', 'torchvision'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
