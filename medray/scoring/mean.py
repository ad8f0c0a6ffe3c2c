"""The mean of a classification's answers to the same samples."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32

from medray.scoring.score import Predictions
from medray.training.task import Classify


def mean_predictions(several: Sequence[Predictions], task: Classify) -> Predictions:
    """The mean of a task's answers to the same samples; those of one alone stay as they are, its logits too.

    The logits of a mean are the logarithms of its probabilities: their softmax is the mean.
    """
    if len(several) == 1:
        return several[0]
    mean: np.ndarray = np.stack([one.probabilities for one in several]).mean(axis=0, dtype=np.float64)
    mean = mean.astype(np.float32)
    labels = task.decide(torch.from_numpy(mean)).numpy()
    return replace(several[0], logits=_logarithms(mean), probabilities=mean, labels=labels)


def _logarithms(probabilities: Float32[np.ndarray, "answers classes"]) -> Float32[np.ndarray, "answers classes"]:
    logarithms: np.ndarray = np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))
    return logarithms
