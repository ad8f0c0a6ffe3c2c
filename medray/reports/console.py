"""The report in plain text, for the terminal."""

from collections.abc import Sequence

from medray.reports.content import Failure, PageContent
from medray.reports.numbers import METRIC_TITLES, by_key, interval_text, value_text
from medray.reports.reasons import explain

_BAR = 28


def summarize(content: PageContent) -> str:
    """Write funnel, reasons and the headline's metrics as lines of at most 100 characters."""
    blocks = [funnel_lines(content.funnel), failure_lines(content.failures), metric_lines(content)]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def funnel_lines(funnel: Sequence[tuple[str, int]]) -> list[str]:
    """Draw one bar a step, as long as its share of the first step."""
    width = max((len(name) for name, _ in funnel), default=0)
    largest = max((count for _, count in funnel), default=0) or 1
    return [
        f"{name:<{width}}  {count:>10,}  {'█' * max(round(_BAR * count / largest), count > 0)}".rstrip()
        for name, count in funnel
    ]


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """List reasons by count, each with its meaning."""
    ordered = sorted(failures, key=lambda failure: (-failure.count, failure.reason))
    width = max((len(failure.reason) for failure in ordered), default=0)
    return [
        f"{failure.status:<7}  {failure.reason:<{width}}  {failure.count:>8,}  {explain(failure.reason)[0]}"
        for failure in ordered
    ]


def metric_lines(content: PageContent) -> list[str]:
    """List the headline's metrics with their intervals, or say that there were no labels."""
    rows, label = by_key(content.metrics), content.headline()
    if not rows:
        return ["No labels were given, so nothing could be measured."]
    first = next(iter(rows.values()))
    lines = [f"{label}: {first['samples']:,} samples of {first['patients']:,} patients; 95 % interval over patients"]
    for name, title in METRIC_TITLES.items():
        row = rows.get(("all", label, name))
        if row is not None and row["value"] is not None:
            lines.append(f"  {title:<18} {value_text(row):>6}   {interval_text(row)}".rstrip())
    return lines
