"""Compiled loops between the pixels of a label map and its nodes."""

from typing import Any

from medray.graphs.compiled import kernel


@kernel
def count_classes(labels: Any, mask: Any, counts: Any) -> Any:
    """Add the pixels of each class to the row of their node.

    Args:
        labels: int32 (pixels,), the node of each pixel; below 0 = in no node.
        mask: int16 (pixels,), the class of each pixel; below 0 = not counted.
        counts: int32 (nodes, classes), out.

    Returns:
        The first class or node number that is too large for `counts`, as (which, number): ("", 0) where none is.
    """
    nodes, classes = counts.shape
    for pixel in range(len(labels)):
        node, number = labels[pixel], mask[pixel]
        if node >= nodes:
            return "node", node
        if number >= classes:
            return "class", number
        if node >= 0 and number >= 0:
            counts[node, number] += 1
    return "", 0
