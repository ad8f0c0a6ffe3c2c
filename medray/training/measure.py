"""The few figures that training itself reads: loss, accuracy, AUROC."""

import numpy as np
from jaxtyping import Float, Int64
from sklearn.metrics import roc_auc_score

from medray.training.fit import Evaluation
from medray.training.task import Classify


def macro_auroc(labels: Int64[np.ndarray, " samples"], probabilities: Float[np.ndarray, "samples classes"]) -> float:
    """Mean over the classes of the AUROC of each against the rest; NaN where only one class is there.

    With two classes both have the same value, which is the AUROC of the second.
    """
    present = [number for number in range(probabilities.shape[1]) if 0 < np.mean(labels == number) < 1]
    values = [roc_auc_score(labels == number, probabilities[:, number]) for number in present]
    return float(np.mean(values)) if values else float("nan")


def figures(evaluation: Evaluation, task: Classify) -> dict[str, float]:
    """Loss, accuracy at the task's threshold and of the most probable class, and macro AUROC of an evaluation."""
    probabilities = task.probabilities(evaluation.logits)
    right = task.decide(probabilities) == evaluation.labels
    auroc = macro_auroc(evaluation.labels.numpy(), probabilities.numpy())
    likely = probabilities.argmax(dim=1) == evaluation.labels
    return {
        "loss": evaluation.loss,
        "accuracy": float(right.float().mean()),
        "accuracy_most_probable": float(likely.float().mean()),
        "auroc": auroc,
    }
