"""How far two masks are the same: confusion matrices and what is read off them."""

import numpy as np
from jaxtyping import Float64, Int16, Int64

Confusion = Int64[np.ndarray, "classes answers"]
"""Pixels by true class (rows) and by answer (columns); one column more is of pixels without an answer."""


def confusion_of(truth: Int16[np.ndarray, "*shape"], answers: Int16[np.ndarray, "*shape"], classes: int) -> Confusion:
    """The confusion matrix of two masks of class numbers, over the pixels where the truth is not below 0.

    Its last column, one more than there are classes, is of answers below 0.
    """
    counted, columns = truth >= 0, classes + 1
    answered = answers[counted].astype(np.int64)
    cells = truth[counted].astype(np.int64) * columns + np.where(answered < 0, classes, answered)
    confusion: Confusion = np.bincount(cells, minlength=classes * columns).astype(np.int64).reshape(classes, columns)
    return confusion


def accuracy_of(confusion: Confusion) -> float:
    """Share of the pixels that are right; NaN of nothing."""
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def dice_of(confusion: Confusion) -> Float64[np.ndarray, " classes"]:
    """2 |A ∩ B| / (|A| + |B|) of each class (Dice 1945, doi:10.2307/1932409); NaN where neither mask has it."""
    both = (confusion.sum(axis=0)[: len(confusion)] + confusion.sum(axis=1)).astype(np.float64)
    right = 2.0 * np.diag(confusion)
    dice: Float64[np.ndarray, " classes"] = np.divide(right, both, out=np.full(len(both), np.nan), where=both > 0)
    return dice
