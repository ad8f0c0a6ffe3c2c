"""What the heat is worth: does the answer follow what is hot, and does the heat follow the weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from medray.reports.svg import MUTED, Figure, canvas, legend_at, series_style, to_svg, unit_axes


@dataclass(frozen=True)
class HeatChecks:
    """Curves of several samples, for the heat that the page shows and for brightness in its place.

    Attributes:
        method: in words.
        insertion: probability by the share shown, hottest first; the method's, then brightness's.
        deletion: probability by the share hidden, hottest first; in the same order.
        layers: whose weights were drawn anew, the head first; each with those before it.
        correlation: of each sample's heat with that of the models with those layers random.
    """

    method: str
    insertion: Float[np.ndarray, "2 samples points"]
    deletion: Float[np.ndarray, "2 samples points"]
    layers: Sequence[str]
    correlation: Float[np.ndarray, "samples layers"]


def draw_heat_checks(checks: HeatChecks) -> list[Figure]:
    """Draw insertion, deletion and randomisation, each as the mean over the samples."""
    count = checks.insertion.shape[1]
    over = f"mean of {count} images" if count > 1 else "one image"
    return [
        _curves(checks, "insertion", "Uncovering the hottest first", ("share shown", "higher", over)),
        _curves(checks, "deletion", "Covering the hottest first", ("share hidden", "lower", over)),
        _randomisation(checks, over),
    ]


def _curves(checks: HeatChecks, name: str, title: str, words: tuple[str, str, str]) -> Figure:
    x, better, over = words
    means = np.asarray(getattr(checks, name)).mean(axis=1)
    said = [
        f"{label} {_area(mean):.3f}" for label, mean in zip((checks.method, "brightness alone"), means, strict=True)
    ]
    with canvas() as figure:
        axes = figure.add_subplot()
        for place, (label, mean) in enumerate(zip(said, means, strict=True)):
            axes.plot(np.linspace(0, 1, len(mean)), mean, label=label, **series_style(place))
        unit_axes(axes, x, "probability of the predicted class")
        legend_at(axes, "best")
        svg = to_svg(figure, name, f"{title}. Area under the curve: {', '.join(said)}.")
    return Figure(name, title, f"Area under the curve, {better} is better: {', '.join(said)}; {over}.", svg)


def _area(curve: Float64[np.ndarray, " points"]) -> float:
    return float(np.trapezoid(curve) / (len(curve) - 1))


def _randomisation(checks: HeatChecks, over: str) -> Figure:
    mean = np.concatenate([[1.0], checks.correlation.mean(axis=0)])
    title, x = "Weights drawn anew", np.arange(len(mean))
    with canvas() as figure:
        axes = figure.add_subplot()
        for sample in checks.correlation if len(checks.correlation) > 1 else ():
            style = {**series_style(0), "linewidth": 0.7, "alpha": 0.3}
            axes.plot(x, np.concatenate([[1.0], sample]), **style)
        axes.plot(x, mean, label=checks.method, marker="o", **series_style(0))
        axes.plot(x, np.ones(len(x)), label="brightness alone", **series_style(1))
        axes.axhline(0, color=MUTED, linewidth=0.8)
        axes.set(xlabel="random layers, from the head down", ylabel="rank correlation with the heat")
        axes.set_ylim(min(-0.1, float(checks.correlation.min()) - 0.05), 1.05)
        axes.set_xticks(x, ["none", *(_short(layer) for layer in checks.layers)], rotation=30, ha="right", fontsize=8)
        legend_at(axes, "best")
        said = f"rank correlation {mean[-1]:.2f} with the heat of a model of random weights"
        svg = to_svg(figure, "randomisation", f"{title}. {checks.method}: {said}.")
    caption = f"{checks.method}: {said}; {over}. Heat that stayed at 1 would not show what the model has learnt."
    return Figure("randomisation", title, f"{caption[0].upper()}{caption[1:]}", svg)


def _short(layer: str) -> str:
    """The last three parts of a layer's name."""
    return ".".join(layer.split(".")[-3:])
