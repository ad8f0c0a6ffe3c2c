"""The report's figures, each with words for those who cannot see it."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from medray.reports import curves
from medray.reports.metrics import Evaluation, predicted_classes
from medray.reports.probability_figures import draw_calibration, draw_histogram, draw_threshold
from medray.reports.rank_figures import draw_precision_recall, draw_roc
from medray.reports.svg import FAINT, SERIES, Figure, canvas, legend_at, series_style, short_name, to_svg

__all__ = ["Figure", "draw_confusion", "draw_figures", "draw_history"]


def draw_figures(evaluation: Evaluation, *, resamples: int = 200) -> list[Figure]:
    """Draw all six figures where there are labels, else the histogram alone."""
    if evaluation.labels is None or not len(evaluation.labels):
        return [draw_histogram(evaluation)] if len(evaluation.probabilities) else []
    drawings = (draw_precision_recall, draw_calibration, draw_confusion, draw_histogram, draw_threshold)
    return [draw_roc(evaluation, resamples=resamples), *(draw(evaluation) for draw in drawings)]


def draw_confusion(evaluation: Evaluation) -> Figure:
    """Draw counts of true (rows) against predicted (columns) classes, shaded by the share of the row."""
    assert evaluation.labels is not None
    names = [short_name(name, 14) for name in evaluation.classes]
    predicted = predicted_classes(evaluation.probabilities, evaluation.threshold)
    counts = curves.confusion(evaluation.labels, predicted, len(names))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with canvas() as figure:
        axes = figure.add_subplot()
        for row, column in np.ndindex(*counts.shape):
            color, part = SERIES[0 if row == column else 1], share[row, column]
            for shade, alpha in ((FAINT, 0.35), (color, 0.6 * part)):
                axes.add_patch(
                    Rectangle((column + 0.02, row + 0.02), 0.96, 0.96, color=shade, alpha=alpha, linewidth=0)
                )
            _cell(axes, (row, column), f"{counts[row, column]:,}", f"{100 * part:.1f} %", len(names))
        _name_cells(axes, names)
        axes.set(xlabel="predicted", ylabel="truth", xlim=(0, len(names)), ylim=(len(names), 0))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        svg = to_svg(figure, "confusion", f"Confusion matrix. {_spoken_matrix(evaluation.classes, counts.tolist())}")
    right = np.trace(counts) / max(counts.sum(), 1)
    return Figure(
        "confusion",
        "Confusion",
        f"{100 * right:.1f} % of the samples are right (the diagonal). Per cent are of each row.",
        svg,
    )


def _name_cells(axes: Axes, names: Sequence[str]) -> None:
    """Write few names along their sides; more of them slanted below and level at the left, so that none overlap."""
    ticks = np.arange(len(names)) + 0.5
    if len(names) <= 3:
        axes.set_xticks(ticks, names)
        axes.set_yticks(ticks, names, rotation=90, va="center")
    else:
        axes.set_xticks(ticks, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=8)
        axes.set_yticks(ticks, names, fontsize=8)


def _cell(axes: Axes, place: tuple[int, int], count: str, share: str, classes: int) -> None:
    row, column = place
    size = 15 if classes <= 3 else max(6, 32 / classes)
    axes.text(column + 0.5, row + 0.47, count, ha="center", va="center", fontsize=size)
    if classes <= 6:
        axes.text(
            column + 0.5, row + 0.47 + 0.17 * max(classes / 3, 0.8), share, ha="center", va="center", fontsize=8.5
        )


def _spoken_matrix(classes: Sequence[str], counts: list[list[int]]) -> str:
    cells = [
        f"truth {truth}, predicted {predicted}: {counts[row][column]}"
        for row, truth in enumerate(classes)
        for column, predicted in enumerate(classes)
    ]
    return "; ".join(cells) + "."


_HISTORY = (
    ("Loss", "loss", (("train_loss", "training", 0), ("validation_loss", "validation", 1))),
    ("Validation AUROC", "AUROC", (("validation_auroc", "validation", 1),)),
    ("Validation accuracy", "accuracy", (("validation_accuracy", "validation", 1),)),
)
_MASK_HISTORY = (("Validation Dice", "Dice", (("validation_dice", "validation", 1),)),)


def draw_history(history: pa.Table) -> list[Figure]:
    """Draw loss, AUROC, accuracy and, of masks, Dice by epoch: a thin line a seed and their mean (`schema.HISTORY`)."""
    seeds = len(set(history["seed"].to_pylist()))
    caption = f"Thin lines are the {seeds} seeds, the thick line is their mean." if seeds > 1 else "One seed."
    figures = []
    of_masks = history["validation_dice"].null_count < len(history)
    for title, y, columns in (*_HISTORY, *(_MASK_HISTORY if of_masks else ())):
        name = title.lower().replace(" ", "_")
        with canvas() as figure:
            axes = figure.add_subplot()
            for column, label, place in columns:
                _seed_lines(axes, history, column, label, place)
            axes.set(xlabel="epoch", ylabel=y)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            legend_at(axes, "best")
            figures.append(Figure(name, title, caption, to_svg(figure, name, f"{title} by epoch, {seeds} seeds.")))
    return figures


def _seed_lines(axes: Axes, history: pa.Table, column: str, label: str, place: int) -> None:
    rows = [row for row in history.select(["seed", "epoch", column]).to_pylist() if row[column] is not None]
    style = series_style(place)
    seeds, epochs = sorted({row["seed"] for row in rows}), sorted({row["epoch"] for row in rows})
    if len(seeds) > 1:
        for seed in seeds:
            points = sorted((row["epoch"], row[column]) for row in rows if row["seed"] == seed)
            axes.plot(*zip(*points, strict=True), color=style["color"], linewidth=0.8, alpha=0.45)
    mean = [np.mean([row[column] for row in rows if row["epoch"] == epoch]) for epoch in epochs]
    if rows:
        axes.plot(epochs, mean, label=label, marker="o" if len(epochs) < 3 else None, **style)
