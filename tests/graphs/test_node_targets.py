"""medray/graphs/node_targets.py: counts are those of loops in Python, and what is painted back is what was asked."""

import numpy as np
import pytest

from medray.graphs.build import build_with_labels
from medray.graphs.node_targets import achievable, class_counts, class_shares, majority, paint_classes, paint_nodes
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import achievable_accuracy, ellipses


def _drawn(seed: int, nodes: int = 30, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Labels and a mask at random, with pixels in no node and pixels that do not count."""
    draw = np.random.default_rng(seed)
    return (
        draw.integers(-1, nodes, (41, 37)).astype(np.int32),
        draw.integers(-1, classes, (41, 37)).astype(np.int16),
    )


def test_counts_are_those_of_every_pixel_in_turn() -> None:
    labels, mask = _drawn(0)
    expected = np.zeros((30, 4), int)
    for row, column in np.ndindex(labels.shape):
        if labels[row, column] >= 0 and mask[row, column] >= 0:
            expected[labels[row, column], mask[row, column]] += 1
    assert np.array_equal(class_counts(labels, mask, 30, 4), expected)
    assert np.array_equal(
        class_counts(labels[:, ::2], np.asfortranarray(mask[:, ::2]), 30, 4).sum(),
        ((labels >= 0) & (mask >= 0))[:, ::2].sum(),
    )


def test_the_commonest_class_wins_the_lower_one_a_tie_and_none_where_nothing_counts() -> None:
    counts = np.array([[1, 5, 2], [3, 0, 3], [0, 4, 4], [0, 0, 0]], np.int32)
    assert majority(counts).tolist() == [1, 0, 1, -1]
    shares = class_shares(counts)
    np.testing.assert_allclose(shares.sum(axis=1), [1, 1, 1, 0])
    np.testing.assert_allclose(shares[0], [1 / 8, 5 / 8, 2 / 8])


def test_painted_scores_are_those_of_the_pixels_node() -> None:
    labels, _ = _drawn(1)
    scores = np.random.default_rng(2).normal(size=(30, 3)).astype(np.float32)
    painted = paint_nodes(labels, scores, -7.0)
    assert painted.shape == (41, 37, 3) and painted.dtype == np.float32
    assert np.array_equal(painted[labels >= 0], scores[labels[labels >= 0]]) and (painted[labels < 0] == -7).all()
    answers = scores.argmax(axis=1).astype(np.int32)
    assert np.array_equal(paint_classes(labels, answers), np.where(labels >= 0, painted.argmax(axis=2), -1))


def test_no_answer_of_nodes_is_right_more_often_than_the_ceiling() -> None:
    image, truth = ellipses(96, 0)
    mask = truth.astype(np.int16)
    graph, labels = build_with_labels(image[None], GraphRecipe(regions=60))
    counts = class_counts(labels, mask, graph.num_nodes, 13)
    ceiling = achievable(counts)
    assert ceiling.accuracy == pytest.approx(achievable_accuracy(labels, truth))
    painted = paint_classes(labels, majority(counts))
    assert ceiling.accuracy == pytest.approx((painted == mask).mean())
    for number in range(13):
        both = ((painted == number) & (mask == number)).sum()
        sizes = (painted == number).sum() + (mask == number).sum()
        assert np.isnan(ceiling.dice[number]) if not sizes else ceiling.dice[number] == pytest.approx(2 * both / sizes)
    other = np.random.default_rng(0).integers(0, 13, graph.num_nodes).astype(np.int32)
    assert (paint_classes(labels, other) == mask).mean() < ceiling.accuracy


def test_regions_that_merged_have_no_pixels_of_their_own() -> None:
    image, truth = ellipses(64, 1)
    graph, labels = build_with_labels(image[None], GraphRecipe(builder="multiscale", regions=40))
    counts = class_counts(labels, truth.astype(np.int16), graph.num_nodes, 13)
    assert counts[graph.level == 0].sum() == 64 * 64 and counts[graph.level > 0].sum() == 0
    assert (majority(counts)[graph.level > 0] == -1).all()


def test_what_does_not_fit_is_refused() -> None:
    labels, mask = _drawn(3)
    with pytest.raises(ValueError, match=r"a mask of \(40, 37\) does not fit on a label map of \(41, 37\)"):
        class_counts(labels, mask[1:], 30, 4)
    with pytest.raises(ValueError, match="class 3, where there are 30 nodes and 3 classes"):
        class_counts(labels, mask, 30, 3)
    with pytest.raises(ValueError, match="node 29, where there are 29 nodes"):
        class_counts(np.maximum(labels, 29 * (mask > -9)).astype(np.int32), mask, 29, 4)
