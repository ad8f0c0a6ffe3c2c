"""Which segmentations are worth looking at."""

import numpy as np
from jaxtyping import Float


def choose_masks(dice: Float[np.ndarray, " samples"], count: int) -> list[tuple[int, str]]:
    """The worst, the median and the best samples, as many of each as there is room for.

    Args:
        dice: of each sample; NaN = it has none, and is not shown.
        count: rows wanted.

    Returns:
        (row, reason in words), the worst first, no row twice.
    """
    order = np.argsort(dice, kind="stable")
    order = order[np.isfinite(dice[order])]
    count = min(count, len(order))
    worst, best = -(-count // 3), count // 3
    middle = count - worst - best
    start = min(max((len(order) - middle) // 2, worst), len(order) - best - middle)
    groups = {"worst": order[:worst], "median": order[start : start + middle], "best": order[len(order) - best :]}
    return [(int(row), why) for why, rows in groups.items() for row in rows]
