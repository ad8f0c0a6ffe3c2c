"""Masks to what a network should answer for each node, and answers of nodes back to pixels.

A node stands for all its pixels: its target is how many of them each class has. Losses and measures over nodes that
are weighed by these counts are those over the painted pixels, exactly, and no pixel need be painted for them.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int16, Int32

from medray.graphs.node_target_kernels import count_classes
from medray.pixels.overlap import accuracy_of, dice_of
from medray.pixels.placement import NOWHERE

Labels = Int32[np.ndarray, "rows columns"]
ClassMask = Int16[np.ndarray, "rows columns"]
Counts = Int32[np.ndarray, "nodes classes"]


def class_counts(labels: Labels, mask: Int16[np.ndarray, "_ _"], nodes: int, classes: int) -> Counts:
    """How many pixels of each class each node has.

    Args:
        labels: the node of each pixel, as `superpixel_labels` gives it; -1 = in no node.
        mask: the class number of each pixel; below 0 = not counted.
        nodes: of the graph. Nodes without pixels of their own (`multiscale`, above level 0) have counts of 0.
        classes: how many there are.

    Raises:
        ValueError: the two are of different sizes, or a number is too large.
    """
    if labels.shape != mask.shape:
        raise ValueError(f"a mask of {mask.shape} does not fit on a label map of {labels.shape}")
    counts = np.zeros((nodes, classes), np.int32)
    which, number = count_classes(_flat(labels), _flat(mask), counts)
    if which:
        raise ValueError(f"{which} {number}, where there are {nodes} nodes and {classes} classes")
    return counts


def _flat(array: np.ndarray) -> np.ndarray:
    """One signature for the kernel: contiguous, and not to be written to."""
    flat = np.ascontiguousarray(array).reshape(-1)
    flat.flags.writeable = False
    return flat


def majority(counts: Counts) -> Int32[np.ndarray, " nodes"]:
    """The commonest class of each node, the lowest number of equally common ones; -1 where no pixel counts."""
    commonest: Int32[np.ndarray, " nodes"] = counts.argmax(axis=1).astype(np.int32)
    commonest[counts.sum(axis=1) == 0] = NOWHERE
    return commonest


def class_shares(counts: Counts) -> Float32[np.ndarray, "nodes classes"]:
    """Each class's share of a node's counted pixels: a soft target; 0 where no pixel counts."""
    total = counts.sum(axis=1, keepdims=True)
    shares: Float32[np.ndarray, "nodes classes"] = (counts / np.maximum(total, 1)).astype(np.float32)
    return shares


def paint_nodes(
    labels: Labels, scores: Float[np.ndarray, "nodes classes"], outside: float = 0.0
) -> Float[np.ndarray, "rows columns classes"]:
    """The scores of each pixel's node; `outside` where a pixel is in no node."""
    painted: np.ndarray = np.where(labels[..., None] >= 0, scores[labels], scores.dtype.type(outside))
    return painted


def paint_classes(labels: Labels, answers: Int32[np.ndarray, " nodes"]) -> ClassMask:
    """The class number of each pixel's node; -1 where a pixel is in no node."""
    painted: ClassMask = np.where(labels >= 0, answers[labels], NOWHERE).astype(np.int16)
    return painted


@dataclass(frozen=True)
class Ceiling:
    """What the best answers of a graph's nodes would reach.

    Attributes:
        accuracy: share of the counted pixels that would be right: achievable segmentation accuracy; NaN without any.
        dice: of each class; NaN where neither mask nor answer has it.
    """

    accuracy: float
    dice: tuple[float, ...]


def achievable(counts: Counts) -> Ceiling:
    """The ceiling of answers that give each node one class: those of `majority`.

    For several images, put their counts one below the other. No other answers have a higher accuracy; some may have a
    higher Dice of one class at the cost of another's.
    """
    classes = counts.shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion.T, counts.argmax(axis=1), counts)
    return Ceiling(accuracy_of(confusion), tuple(dice_of(confusion).tolist()))
