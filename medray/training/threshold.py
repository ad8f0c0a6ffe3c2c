"""The probability from which on the answer is yes, chosen on the validation side and kept in the bundle."""

import numpy as np
from jaxtyping import Float, Int64


def youden_threshold(
    labels: Int64[np.ndarray, " samples"], probabilities: Float[np.ndarray, " samples"]
) -> float | None:
    """The threshold with the largest sensitivity + specificity - 1 (Youden 1950, Cancer 3:32).

    It lies midway between two neighbouring probabilities, so that rounding moves no sample across it; of equal ones,
    the one nearest to 0.5 is taken. It does not depend on how common the classes are.

    Args:
        labels: 0 or 1.
        probabilities: of class 1.

    Returns:
        None where only one class is there: then nothing can be chosen, and the most probable class is the answer.
    """
    positives, negatives = int(labels.sum()), int((labels == 0).sum())
    if not positives or not negatives:
        return None
    values = np.unique(probabilities.astype(np.float64))
    thresholds = np.concatenate([[values[0]], (values[1:] + values[:-1]) / 2])
    below_yes = np.searchsorted(np.sort(probabilities[labels == 1]), thresholds)
    below_no = np.searchsorted(np.sort(probabilities[labels == 0]), thresholds)
    youden = below_no / negatives - below_yes / positives
    best = thresholds[np.isclose(youden, youden.max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])
