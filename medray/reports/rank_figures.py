"""ROC and precision-recall curves: how well the scores rank, whatever the threshold."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes

from medray.reports import curves
from medray.reports.measures import rank_metrics, view_class
from medray.reports.metrics import Evaluation
from medray.reports.svg import (
    INK,
    MUTED,
    SERIES,
    SURFACE,
    Figure,
    canvas,
    legend_at,
    series_style,
    short_name,
    spoken,
    to_svg,
    unit_axes,
)


def draw_roc(evaluation: Evaluation, *, resamples: int = 200) -> Figure:
    """Draw sensitivity against 1 - specificity, with the band over patients where one curve stands alone."""
    said, shown = [], _shown_classes(evaluation)
    with canvas() as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (2, 3)))
        for place, number in enumerate(shown):
            curve = curves.roc_curve(*_side(evaluation, number))
            if curve is None:
                continue
            if len(shown) == 1:
                _band(axes, evaluation, number, resamples)
            said.append(f"{evaluation.classes[number]} {_rank_value(evaluation, number, 0):.3f}")
            axes.plot(curve.x, curve.y, label=_legend(evaluation, number, said[-1]), **series_style(place))
            _operating_point(axes, curve, evaluation)
        unit_axes(axes, "1 − specificity", "sensitivity")
        legend_at(axes, "lower right")
        svg = to_svg(figure, "roc", f"ROC curve. Area under it: {spoken(said)}.")
    band = " The band is the 95 % interval over patients." if len(shown) == 1 else " Each class against the rest."
    return Figure("roc", "ROC", f"Area under the curve: {spoken(said)}.{band}", svg)


def draw_precision_recall(evaluation: Evaluation) -> Figure:
    """Draw precision against recall, with the prevalence as the level of chance."""
    said = []
    with canvas() as figure:
        axes = figure.add_subplot()
        for place, number in enumerate(_shown_classes(evaluation)):
            positive, probability = _side(evaluation, number)
            curve = curves.precision_recall_curve(positive, probability)
            if curve is None:
                continue
            style = series_style(place)
            said.append(f"{evaluation.classes[number]} {_rank_value(evaluation, number, 1):.3f}")
            axes.axhline(positive.mean(), color=style["color"], linewidth=0.9, linestyle=(0, (2, 3)), alpha=0.7)
            axes.plot(curve.x, curve.y, label=_legend(evaluation, number, said[-1]), drawstyle="steps-pre", **style)
            _operating_point(axes, curve, evaluation)
        unit_axes(axes, "recall (sensitivity)", "precision")
        legend_at(axes, "lower left")
        svg = to_svg(figure, "pr", f"Precision-recall curve. Average precision: {spoken(said)}.")
    caption = f"Average precision: {spoken(said)}. Dotted: the prevalence, which is the level of chance."
    return Figure("precision_recall", "Precision and recall", caption, svg)


def _shown_classes(evaluation: Evaluation) -> list[int]:
    """Two classes mirror each other, so only the positive one is drawn."""
    return [1] if len(evaluation.classes) == 2 else list(range(len(evaluation.classes)))


def _side(evaluation: Evaluation, number: int) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    assert evaluation.labels is not None
    return evaluation.labels == number, evaluation.probabilities[:, number]


def _rank_value(evaluation: Evaluation, number: int, which: int) -> float:
    positive, probability = _side(evaluation, number)
    view = view_class(positive, probability, positive)
    return float(rank_metrics(view, np.ones((1, len(positive))))[which][0])


def _band(axes: Axes, evaluation: Evaluation, number: int, resamples: int) -> None:
    grid = np.linspace(0, 1, 201)
    band = curves.roc_band(evaluation, number, grid=grid, resamples=resamples)
    if band is not None:
        axes.fill_between(grid, band[0], band[1], color=SERIES[0], alpha=0.18, linewidth=0)


def _legend(evaluation: Evaluation, number: int, said: str) -> str:
    return f"{short_name(evaluation.classes[number])} {said.rsplit(' ', 1)[1]}"


def _operating_point(axes: Axes, curve: curves.Curve, evaluation: Evaluation) -> None:
    """Mark where the stored threshold lies, for two classes."""
    if evaluation.threshold is None or len(evaluation.classes) != 2:
        return
    place = np.flatnonzero(curve.thresholds >= evaluation.threshold)[-1]
    label = f"threshold {evaluation.threshold:.3f}"
    point: dict[str, Any] = {"marker": "o", "markersize": 7, "markeredgecolor": SURFACE, "markeredgewidth": 1.6}
    axes.plot(curve.x[place], curve.y[place], color=INK, linestyle="none", label=label, **point)
