"""The page's sections: content in, HTML out. Every string of the content is escaped here and nowhere else."""

from html import escape

from medray.reports.content import MEASURES, Example, PageContent
from medray.reports.figures import draw_history
from medray.reports.html import definitions, figure_card, missing, section, table
from medray.reports.images import image_png, overlay_png, ramp_css
from medray.reports.metrics import MACRO
from medray.reports.numbers import METRIC_TITLES, MetricRow, by_key, count_text, interval_text, value_text
from medray.reports.reasons import explain

_SUBGROUP_METRICS = ("sensitivity", "specificity")
_NO_LABELS = "No labels were given, so {} could not be measured."


def header_section(content: PageContent) -> str:
    """Title, key figures of the headline label, and the model card."""
    subtitle = f'<p class="subtitle">{escape(content.subtitle)}</p>\n' if content.subtitle else ""
    card = definitions(content.card, "card") if content.card else ""
    return (
        f'<header>\n<p class="kicker">medray report</p>\n<h1>{escape(content.title)}</h1>\n{subtitle}'
        f"{_key_figures(content)}\n{card}\n</header>"
    )


def _key_figures(content: PageContent) -> str:
    rows, label, measures = by_key(content.metrics), content.headline(), MEASURES[content.task]
    hero = rows.get(("all", label, measures.hero))
    if hero is None:
        return missing(_NO_LABELS.format("discrimination"))
    small = "".join(_key_figure(name, rows.get(("all", label, name))) for name in measures.key)
    of_class = "mean over the classes" if label == MACRO else f"of {escape(label)}"
    basis = f"{count_text(hero['samples'])} samples, {count_text(hero['patients'])} patients"
    return (
        f'<div class="key">\n<div class="hero"><p class="name">{METRIC_TITLES[measures.hero]} '
        f"<span>{of_class}</span></p>"
        f'<p class="value">{value_text(hero)}</p><p class="range">{_range(hero)}</p>'
        f'<p class="basis">{basis}</p></div>\n<dl class="small">\n{small}</dl>\n</div>'
    )


def _key_figure(name: str, row: MetricRow | None) -> str:
    return (
        f"<div><dt>{METRIC_TITLES[name]}</dt><dd>{value_text(row)}"
        f'<span class="interval">{interval_text(row)}</span></dd></div>\n'
    )


def _range(row: MetricRow) -> str:
    text = interval_text(row)
    return f"95 % interval {text}" if text else "no interval: it needs two patients"


def funnel_section(content: PageContent) -> str:
    """One bar a step, as long as its share of the largest."""
    if not content.funnel:
        return section("funnel", "From archive to result", missing("No counts were given."))
    largest = max(count for _, count in content.funnel) or 1
    rows = [
        f'<tr><th scope="row">{escape(name)}</th><td class="bar"><span style="width:{100 * count / largest:.2f}%">'
        f'</span></td><td class="number">{count_text(count)}</td><td class="share">{_share(count, largest)}</td></tr>\n'
        for name, count in content.funnel
    ]
    heads = ("Step", '<span class="unseen">Bar</span>', "Count", "Share")
    note = "Every object ends as exactly one of ok, skipped or failed. Nothing is dropped silently."
    return section("funnel", "From archive to result", table("Funnel", heads, rows, "funnel"), note)


def _share(part: int, whole: int) -> str:
    """Write per cent so that neither some nor almost all is rounded to none or all."""
    percent = 100 * part / whole
    if 0 < part < whole:
        percent = min(max(percent, 0.1), 99.9)
    return f"{percent:.1f} %" if 0 < part < whole else f"{percent:.0f} %"


def metrics_section(content: PageContent) -> str:
    """All metrics of all labels over all samples; the interval under each number."""
    rows = by_key(content.metrics)
    if not rows:
        return section("metrics", "Metrics", missing("No labels were given, so nothing could be measured."))
    measures = MEASURES[content.task]
    labels = [*content.classes, MACRO] if len(content.classes) == 2 else [MACRO, *content.classes]
    heads = ["Metric", *(escape(label) for label in labels)]
    body = [
        f'<tr><th scope="row">{METRIC_TITLES[name]}</th>'
        + "".join(_metric_cell(rows.get(("all", label, name))) for label in labels)
        + "</tr>\n"
        for name in measures.table
    ]
    note = f"{measures.note} Beside each number stands its 95 % interval from resampling patients."
    remarks = "".join(missing(escape(remark)) for remark in content.remarks)
    return section("metrics", "Metrics", table("Metrics", heads, body, "metrics") + remarks, note)


def _metric_cell(row: MetricRow | None) -> str:
    return f'<td class="number">{value_text(row)}<span class="interval">{interval_text(row)}</span></td>'


def figures_section(content: PageContent) -> str:
    """The cards that there are; without labels a sentence says which are not."""
    cards = "".join(figure_card(figure) for figure in content.figures)
    body = f'<div class="cards">\n{cards}</div>' if cards else ""
    if any(figure.name == "roc" for figure in content.figures):
        return section("figures", "Discrimination and calibration", body)
    return section("figures", "Scores", body + missing(_NO_LABELS.format("ROC, precision, calibration and confusion")))


def examples_section(content: PageContent) -> str:
    """A grid of images, each beside itself under its heat."""
    if not content.examples:
        return section(
            "examples",
            "Examples",
            missing("No example images were given: they need --bundle, and samples of one frame."),
        )
    heated = any(example.heat is not None for example in content.examples)
    cards = "".join(_example_card(example, heated) for example in content.examples)
    if heated:
        grid = f'<div class="examples">\n{cards}</div>'
        return section("examples", "Examples", _heat_legend(content.heat_method) + grid + _heat_checks(content))
    note = "There are no heat maps: they need the model bundle that made the predictions."
    return section("examples", "Examples", f'<div class="examples plain">\n{cards}</div>', note)


def _heat_legend(method: str) -> str:
    made = f" ({escape(method)})" if method else ""
    return (
        f'<p class="legend"><span>Left the image, right its heat{made}: evidence for the predicted class, '
        f'relative within each image.</span> <span class="scale">none <i style="background:{ramp_css()}"></i> '
        "most</span></p>\n"
    )


def _heat_checks(content: PageContent) -> str:
    """What the heat is worth, under the examples."""
    if not content.heat_checks:
        return ""
    cards = "".join(figure_card(figure) for figure in content.heat_checks)
    note = (
        "What the heat is worth: the answer should follow what is hot, and the heat what the model has learnt. "
        "Covered pixels are blurred; covered nodes are the mean of all."
    )
    return f'<p class="note checks">{note}</p>\n<div class="cards">\n{cards}</div>'


def _heat_image(example: Example) -> str:
    if example.heat is None:
        return '<p class="missing">no heat map</p>'
    source = overlay_png(example.image, example.heat)
    return f'<img src="{source}" alt="The same image with the evidence for {escape(example.prediction)}">'


def _example_card(example: Example, heated: bool) -> str:
    label, sample = escape(example.prediction), escape(example.sample_id)
    image = f'<img src="{image_png(example.image)}" alt="Image of sample {sample}">'
    heat = _heat_image(example) if heated else ""
    percent = f"{100 * example.probability:.1f}"
    return (
        f'<article class="panel example">\n<div class="pair">{image}{heat}</div>\n'
        f'<p class="verdict">{_verdict(example)}<b>{label}</b> <span class="number">{percent} %</span></p>\n'
        f'<div class="meter" aria-hidden="true"><span style="width:{percent}%"></span></div>\n'
        f'<p class="truth">{_truth(example)}</p>\n<p class="caption">{escape(example.caption)}</p>\n'
        f'<p class="sample"><code>{sample}</code></p>\n</article>\n'
    )


def _verdict(example: Example) -> str:
    if example.truth is None:
        return ""
    right = example.truth == example.prediction
    kind, sign, word = ("right", "✓", "right") if right else ("wrong", "✕", "wrong")
    return f'<span class="badge {kind}"><span aria-hidden="true">{sign}</span> {word}</span> '


def _truth(example: Example) -> str:
    return "no label" if example.truth is None else f"truth: {escape(example.truth)}"


def subgroups_section(content: PageContent) -> str:
    """Headline metrics of each subgroup, with the first one's interval drawn."""
    rows, label, hero = by_key(content.metrics), content.headline(), MEASURES[content.task].hero
    groups = list(dict.fromkeys(subgroup for subgroup, _, _ in rows))
    if len(groups) < 2:
        sentence = "No subgroups were given." if rows else _NO_LABELS.format("subgroups")
        return section("subgroups", "Subgroups", missing(sentence))
    body = [
        f'<tr><th scope="row">{escape(_group_text(group))}</th><td class="number">{count_text(first["samples"])}</td>'
        f'<td class="number">{count_text(first["patients"])}</td>{_metric_cell(first)}<td>{_whisker(first)}</td>'
        + "".join(_metric_cell(rows.get((group, label, name))) for name in _SUBGROUP_METRICS)
        + "</tr>\n"
        for group in groups
        if (first := rows.get((group, label, hero))) is not None
    ]
    axis = '<span class="axis"><span>0.5</span><span>1</span></span>'
    heads = [
        "Group",
        "Samples",
        "Patients",
        METRIC_TITLES[hero],
        axis,
        *(METRIC_TITLES[name] for name in _SUBGROUP_METRICS),
    ]
    note = (
        f"Numbers {'are means over the classes' if label == MACRO else f'of {escape(label)}'}; intervals over patients."
    )
    return section("subgroups", "Subgroups", table("Subgroups", heads, body, "subgroups"), note)


def _group_text(group: str) -> str:
    column, equals, value = group.partition("=")
    return f"{column.replace('_', ' ')}: {value}" if equals else group


def _whisker(row: MetricRow) -> str:
    """Draw a point and its interval on an axis from 0.5 to 1; what lies below 0.5 stands at the left end."""
    if row["value"] is None:
        return ""
    value, low, high = (
        200 * min(max((row[name] if row[name] is not None else row["value"]) - 0.5, 0), 0.5)
        for name in ("value", "low", "high")
    )
    return (
        '<svg class="whisker" viewBox="-6 0 112 16" aria-hidden="true"><path d="M0 8H100M0 4V12M100 4V12"/>'
        f'<path class="range" d="M{low:.1f} 8H{high:.1f}"/><circle cx="{value:.1f}" cy="8" r="4"/></svg>'
    )


def failures_section(content: PageContent) -> str:
    """Reasons by count, each with its meaning and its cure. Roles are spelled out: on phones the rows become blocks."""
    if not content.failures:
        return section("failures", "Reasons", missing("Nothing was skipped and nothing failed."))
    rows = []
    for failure in sorted(content.failures, key=lambda row: (row.status, -row.count, row.reason)):
        meaning, cure = explain(failure.reason)
        rows.append(
            f'<tr role="row"><td role="cell"><span class="badge {"wrong" if failure.status == "failed" else "plain"}">'
            f"{escape(failure.status)}</span></td>"
            f'<th role="rowheader" scope="row"><code>{escape(failure.reason)}</code></th>'
            f'<td role="cell" class="number">{count_text(failure.count)}</td>'
            f'<td role="cell" class="words">{escape(meaning)}</td>'
            f'<td role="cell" class="words cure">{escape(cure)}</td></tr>\n'
        )
    heads = ("Outcome", "Reason", "Count", "What it means", "Cure")
    return section("failures", "Reasons", table("Reasons", heads, rows, "failures"))


def history_section(content: PageContent) -> str:
    """The training curves."""
    if content.history is None or not content.history.num_rows:
        return section("training", "Training", missing("No training history was given."))
    cards = "".join(figure_card(figure) for figure in draw_history(content.history))
    return section("training", "Training", f'<div class="cards">\n{cards}</div>')


def provenance_section(content: PageContent) -> str:
    """What made these numbers."""
    if not content.provenance:
        return section("provenance", "Provenance", missing("No provenance was given."))
    return section("provenance", "Provenance", definitions(content.provenance, "provenance"))
