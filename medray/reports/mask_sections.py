"""The page's sections on masks: how Dice is spread over the samples, and images beside their masks."""

from collections.abc import Sequence
from html import escape

import numpy as np
from jaxtyping import Float

from medray.reports.content import MaskExample, PageContent
from medray.reports.html import figure_card, missing, section
from medray.reports.images import class_colour, image_png, mask_png
from medray.reports.svg import Figure, canvas, legend_above, series_style, short_name, to_svg, unit_axes


def draw_spread(dice: Float[np.ndarray, "samples classes"], classes: Sequence[str]) -> Figure:
    """Draw each class's Dice of the samples that have one, from the worst to the best."""
    said = []
    with canvas() as figure:
        axes = figure.add_subplot()
        for number, name in enumerate(classes):
            values = np.sort(dice[np.isfinite(dice[:, number]), number])
            if len(values):
                low, middle = np.percentile(values, [10, 50])
                said.append(f"{name}: a tenth is below {low:.2f}, half below {middle:.2f}")
                share = (np.arange(len(values)) + 0.5) / len(values)
                mark = "o" if len(values) < 3 else None
                axes.plot(share, values, label=short_name(name), marker=mark, **series_style(number))
        unit_axes(axes, "share of the samples, worst first", "Dice")
        legend_above(axes)
        svg = to_svg(figure, "spread", f"Dice of each sample. {'; '.join(said)}.")
    return Figure("spread", "Dice of each sample", f"{'; '.join(said)}." if said else "No class is in any mask.", svg)


def spread_section(content: PageContent) -> str:
    """The figures that there are."""
    if not content.figures:
        return section("spread", "Spread", missing("No masks were given, so no sample could be measured."))
    cards = "".join(figure_card(figure) for figure in content.figures)
    return section("spread", "Spread", f'<div class="cards">\n{cards}</div>')


def masks_section(content: PageContent) -> str:
    """Images, each beside its mask and the model's."""
    if not content.masks:
        sentence = (
            "There are no pictures: they need masks (--labels.mask_column) and the bundle that made the predictions."
        )
        return section("masks", "Masks", missing(sentence))
    cards = "".join(_card(example, content.classes) for example in content.masks)
    return section("masks", "Masks", _legend(content.classes) + f'<div class="triples">\n{cards}</div>')


def _legend(classes: Sequence[str]) -> str:
    swatches = "".join(
        f'<span><i style="background:rgb{class_colour(number)}"></i>{escape(name)}</span>'
        for number, name in enumerate(classes)
        if number
    )
    return (
        '<p class="legend"><span>Left the image, then its mask, then the model\'s. Darker pixels do not count, or the '
        f'model did not see them.</span> <span class="swatches">{swatches}</span></p>\n'
    )


def _card(example: MaskExample, classes: Sequence[str]) -> str:
    sample = escape(example.sample_id)
    pictures = (
        (image_png(example.image), f"Image of sample {sample}"),
        (mask_png(example.image, example.truth), "The same image with its mask"),
        (mask_png(example.image, example.prediction), "The same image with the model's mask"),
    )
    shown = "".join(f'<img src="{source}" alt="{words}">' for source, words in pictures)
    dice = ", ".join(
        f"{escape(name)} {'–' if np.isnan(value) else f'{value:.3f}'}"
        for name, value in zip(classes, example.dice, strict=True)
    )
    return (
        f'<article class="panel example">\n<div class="pair triple">{shown}</div>\n'
        f'<p class="verdict"><b>Dice: {dice}</b></p>\n<p class="caption">{escape(example.caption)}</p>\n'
        f'<p class="sample"><code>{sample}</code></p>\n</article>\n'
    )
