"""Calibration, score histogram and choice of threshold: what the probabilities themselves are worth."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from medray.reports import curves
from medray.reports.metrics import Evaluation
from medray.reports.svg import (
    INK,
    MUTED,
    SERIES,
    Figure,
    canvas,
    legend_above,
    series_style,
    short_name,
    to_svg,
    unit_axes,
)


def draw_calibration(evaluation: Evaluation) -> Figure:
    """Draw the share that came true against the probability said, with the counts of the bins below."""
    labels, probabilities = evaluation.labels, evaluation.probabilities
    assert labels is not None
    if len(evaluation.classes) == 2:
        hits, probability, x, y = (
            labels == 1,
            probabilities[:, 1],
            f"probability of {evaluation.classes[1]}",
            "observed",
        )
    else:
        hits, probability = labels == probabilities.argmax(axis=1), probabilities.max(axis=1)
        x, y = "winning probability", "share right"
    bins = curves.calibration_bins(hits, probability)
    filled = bins.counts > 0
    error = np.nansum(np.abs(bins.observed - bins.mean_probability) * bins.counts) / bins.counts.sum()
    with canvas() as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
        low, high = curves.wilson_interval(bins.observed[filled], bins.counts[filled])
        upper.vlines(bins.mean_probability[filled], low, high, color=SERIES[0], alpha=0.4, linewidth=2.2)
        upper.plot(bins.mean_probability[filled], bins.observed[filled], color=SERIES[0], marker="o", markersize=4.5)
        unit_axes(upper, "", y)
        lower.bar(bins.edges[:-1], bins.counts, width=np.diff(bins.edges) * 0.9, align="edge", color=MUTED, alpha=0.55)
        lower.set(xlabel=short_name(x, 40), ylabel="samples")
        lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        svg = to_svg(figure, "calibration", f"Reliability diagram. Expected calibration error {error:.3f}.")
    caption = (
        f"Expected calibration error {error:.3f} over {len(bins.counts)} bins, each with its 95 % interval (Wilson)."
    )
    return Figure("calibration", "Calibration", caption, svg)


def draw_histogram(evaluation: Evaluation) -> Figure:
    """Draw how the probabilities spread: by true class (two classes), by right and wrong (more), else all as one."""
    labels, probabilities, classes = evaluation.labels, evaluation.probabilities, evaluation.classes
    two = len(classes) == 2
    probability = probabilities[:, 1] if two else probabilities.max(axis=1)
    groups, names = np.zeros(len(probability), dtype=np.int64), ["all samples"]
    if labels is not None:
        groups = labels if two else (labels != probabilities.argmax(axis=1)).astype(np.int64)
        names = list(classes) if two else ["class right", "class wrong"]
    counts = curves.score_histogram(groups, probability, count=len(names))
    x = f"probability of {classes[1]}" if two else "winning probability"
    with canvas() as figure:
        axes = figure.add_subplot()
        for place, row in enumerate(counts):
            color = SERIES[[1, 0][place] if two and labels is not None else place]
            edges = np.linspace(0, 1, len(row) + 1)
            axes.stairs(row, edges, fill=True, color=color, alpha=0.25)
            axes.stairs(
                row, edges, color=color, linewidth=1.5, linestyle=["-", "--"][place], label=short_name(names[place])
            )
        if evaluation.threshold is not None and two:
            axes.axvline(evaluation.threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        unit_axes(axes, short_name(x, 40), "samples", free_y=True)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        legend_above(axes)
        svg = to_svg(figure, "histogram", f"Histogram of the {x}, for {', '.join(names)}.")
    line = " The dashed line is the threshold." if evaluation.threshold is not None and two else ""
    return Figure("histogram", "Scores", f"How often each {x} was given.{line}", svg)


def draw_threshold(evaluation: Evaluation) -> Figure:
    """Draw what each threshold would cost.

    Two classes: sensitivity and specificity. More: the share of samples whose winning probability reaches it, and
    how many of those are right.
    """
    labels, probabilities, classes = evaluation.labels, evaluation.probabilities, evaluation.classes
    assert labels is not None
    grid = np.linspace(0, 1, 101)
    if len(classes) == 2:
        names, x = ("sensitivity", "specificity"), f"threshold on the probability of {classes[1]}"
        lines = curves.sides_by_threshold(labels == 1, probabilities[:, 1], grid)
        caption = "What another threshold would give. The dashed line is the stored one."
    else:
        names, x = ("share kept", "share right of those"), "least winning probability kept"
        lines = curves.kept_by_threshold(labels == probabilities.argmax(axis=1), probabilities.max(axis=1), grid)
        caption = "What keeping only the samples with at least this winning probability would give."
    with canvas() as figure:
        axes = figure.add_subplot()
        for place, (line, name) in enumerate(zip(lines, names, strict=True)):
            axes.plot(grid, line, label=name, **series_style(place))
        if evaluation.threshold is not None and len(classes) == 2:
            axes.axvline(evaluation.threshold, color=INK, linewidth=1, linestyle=(0, (4, 2)))
        unit_axes(axes, short_name(x, 48), "share")
        legend_above(axes)
        svg = to_svg(figure, "threshold", f"{names[0]} and {names[1]} by the {x}.")
    return Figure("threshold", "Choice of threshold", caption, svg)
