"""Write docs/comparison.md and its picture from benchmarks/results: `python docs/make_comparison.py`.

The words stand in comparison.text.md, the figures in claim.json, graph_models.json and cost.json; a line `{{NAME}}`
of the words becomes a table. A test holds the page to both.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from textwrap import fill
from typing import Any

FOLDER = Path(__file__).parent
PAGE, WORDS = FOLDER / "comparison.md", FOLDER / "comparison.text.md"
PICTURE = FOLDER / "pictures" / "comparison.png"
RESULTS = FOLDER.parent / "benchmarks" / "results"

Figures = dict[str, Any]


def results(name: str) -> Figures:
    """What a benchmark found."""
    found: Figures = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def with_interval(row: Figures, name: str) -> str:
    """Mean and interval, in three digits."""
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.3f}" + ("" if low is None else f" ({max(low, 0):.3f} to {min(high, 1):.3f})")


def as_table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A table in Markdown."""
    lines = [list(head), *(list(map(str, row)) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def changed_sides(experiment: str, what: str = "accuracy") -> str:
    """A row a network, a column a test side: clean with its interval, the others as means."""
    found = results("claim")[experiment]
    sides = [name for name in next(iter(found.values())) if name not in ("parameters", "train_cpu_s", "clean")]
    head = ["network", "weights", "training, CPU s", "clean", *sides]
    rows = []
    for name, row in found.items():
        means = [f"{row[side][what]:.3f}" for side in sides]
        rows.append(
            [name, f"{row['parameters']:,}", f"{row['train_cpu_s']:.0f}", with_interval(row["clean"], what), *means]
        )
    return as_table(head, rows)


def accuracy_and_auroc(found: Figures, side: str | None = "clean") -> str:
    """A row a network: accuracy and AUROC with their intervals."""
    rows = []
    for name, row in found.items():
        figures = row[side] if side else row
        both = [with_interval(figures, measure) for measure in ("accuracy", "auroc")]
        rows.append([name, f"{row['parameters']:,}", f"{row['train_cpu_s']:.0f}", *both])
    return as_table(["network", "weights", "training, CPU s", "accuracy", "AUROC"], rows)


def graph_models() -> str:
    """Every family on the chest X-rays."""
    found = {name: row for name, row in results("graph_models").items() if isinstance(row, dict) and "seeds" in row}
    return accuracy_and_auroc(dict(sorted(found.items(), key=lambda item: -item[1]["auroc"])), side=None)


def where() -> str:
    """Where the evidence lies: in the lesion or beside it."""
    found = results("explanations")
    rows = []
    for name in (name for name, row in found.items() if isinstance(row, dict) and "accuracy" in row):
        for method, row in found[name].items():
            if method != "accuracy":
                figures = [f"{row[key]:.2f}" for key in ("pointing", "auprc", "insertion", "deletion")]
                rows.append([name, method.replace("_", " "), *figures, f"{row['random_weights_correlation']:.2f}"])
    return as_table(["network", "method", "pointing", "AUPRC", "insertion", "deletion", "with drawn weights"], rows)


def cost() -> str:
    """Operations and times by size."""
    found = results("cost")
    sizes = [size for size in found if size.isdigit()]
    rows = []
    for name in found[sizes[0]]:
        cells = []
        for size in sizes:
            row = found[size][name]
            extra = row.get("graph_ms", 0) + row.get("scale_ms", 0)
            cells.append(f"{row['mmac']:.1f} / {row['train_ms']:.1f} / {row['answer_ms'] + extra:.1f}")
        rows.append([name, *cells])
    return as_table(["network", *(f"{size} × {size}" for size in sizes)], rows)


TABLES: dict[str, Callable[[], str]] = {
    "E1": lambda: changed_sides("E1"),
    "E2": lambda: accuracy_and_auroc(results("claim")["E2"]),
    "E3": lambda: changed_sides("E3"),
    "E3 AUROC": lambda: changed_sides("E3", "auroc"),
    "E4": lambda: accuracy_and_auroc(results("claim")["E4"]),
    "E8": lambda: accuracy_and_auroc(results("claim")["E8"]),
    "E7": where,
    "graph models": graph_models,
    "cost": cost,
}


def page() -> str:
    """The words with tables in their places."""
    text = WORDS.read_text()
    for name, table in TABLES.items():
        text = text.replace(f"{{{{{name}}}}}", table())
    return text


def main() -> None:
    """Write the page and draw the picture."""
    PAGE.write_text(page())
    draw()


def draw() -> None:
    """Four panels: chest X-rays against their cost, changed X-rays, ultrasound, cost by size."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(12, 9), layout="constrained")
    _against_cost(axes[0, 0])
    _changed(axes[0, 1])
    _ultrasound(axes[1, 0])
    _cost(axes[1, 1])
    figure.savefig(PICTURE, dpi=100)
    plt.close(figure)


GRAPHS, CONVOLUTIONS, BOTH = "#2f6f8f", "#b5482a", "#6a4c93"


def _colour(name: str) -> str:
    if "vig" in name or "hybrid" in name or ("sage" in name and "cnn" in name):
        return BOTH
    return CONVOLUTIONS if "cnn" in name else GRAPHS


def _against_cost(axes: Any) -> None:
    found = {name: row for name, row in results("graph_models").items() if isinstance(row, dict) and "seeds" in row}
    for name, row in found.items():
        low, high = row["auroc_interval"]
        axes.plot([row["train_cpu_s"]] * 2, [low, high], color=_colour(name), linewidth=1)
        axes.scatter(row["train_cpu_s"], row["auroc"], color=_colour(name))
        axes.annotate(name, (row["train_cpu_s"], row["auroc"]), textcoords="offset points", xytext=(5, 4), fontsize=8)
    axes.margins(x=0.12)
    axes.axhline(0.944, color="grey", linestyle=":", linewidth=1)
    axes.annotate(
        "ResNet-18, published", (axes.get_xlim()[1], 0.944), fontsize=8, ha="right", va="bottom", color="grey"
    )
    axes.set(title="Chest X-rays, official test split, all augmented alike", xlabel="training, CPU s", ylabel="AUROC")


def _changed(axes: Any) -> None:
    found = results("claim")["E3"]
    sides = [name for name in next(iter(found.values())) if name not in ("parameters", "train_cpu_s")]
    for place, (name, row) in enumerate(found.items()):
        shift = (place - (len(found) - 1) / 2) * 0.16
        accuracy = [row[side]["accuracy"] for side in sides]
        axes.bar([number + shift for number in range(len(sides))], accuracy, 0.15, label=name)
    axes.axhline(0.625, color="grey", linestyle=":", linewidth=1)
    axes.set_xticks(range(len(sides)), [fill(side, 9) for side in sides], fontsize=8)
    axes.set(title="The same X-rays, changed: accuracy", ylim=(0, 1))
    axes.legend(fontsize=7, loc="lower left", ncol=2, framealpha=1)


def _ultrasound(axes: Any) -> None:
    found = results("claim")["E4"]
    for place, (name, row) in enumerate(reversed(found.items())):
        clean = row["clean"]
        axes.plot(clean["auroc_interval"], [place, place], color=_colour(name), linewidth=2)
        axes.scatter([clean["auroc"]], [place], color=_colour(name))
    axes.set_yticks(range(len(found)), list(reversed(found)), fontsize=8)
    axes.set_title("Breast ultrasound, five folds: AUROC")


def _cost(axes: Any) -> None:
    found = results("cost")
    sizes = [size for size in found if size.isdigit()]
    for name in found[sizes[0]]:
        rows = [found[size][name] for size in sizes]
        times = [row["answer_ms"] + row.get("graph_ms", 0) + row.get("scale_ms", 0) for row in rows]
        axes.plot([int(size) for size in sizes], times, marker="o", label=name)
    axes.set(title="An answer with its graph or scaling: ms an image", xlabel="rows and columns")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks([int(size) for size in sizes], sizes)
    axes.minorticks_off()
    axes.legend(fontsize=8)


if __name__ == "__main__":
    main()
