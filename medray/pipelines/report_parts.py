"""What the pages of all tasks have: card, funnel, reasons, provenance."""

from collections import Counter
from typing import Any

from medray import __version__
from medray.pipelines.funnel import funnel_lines
from medray.reports.content import Failure
from medray.result_settings import ReportSettings
from medray.training.bundle import Bundle

SUBGROUPS = ("modality", "patient_sex", "manufacturer")


def subtitle(settings: ReportSettings, manifest: dict[str, Any], count: int, *, with_labels: bool) -> str:
    """What was measured, in a sentence."""
    if not with_labels:
        return f"{count:,} scored samples, no labels given"
    side = "all labelled samples" if settings.split == "all" else f"the {settings.split} side of the split"
    return f"{count:,} scored samples: {side}; {manifest['rows']:,} samples in the archive"


def card(manifest: dict[str, Any], bundle: Bundle | None) -> list[tuple[str, str]]:
    """The model in a few rows."""
    rows = [("Model id", manifest["model_id"]), ("Classes", ", ".join(manifest["classes"]))]
    if bundle is None:
        return rows
    recipe = bundle.recipe
    window = f"window {recipe.window}" if recipe.window else "z-score over the image"
    rows += [("Model", bundle.model_name), ("Input", f"{bundle.input_kind}, {recipe.size} × {recipe.size}, {window}")]
    if recipe.sample.is_set:
        rows.append(("Sample", f"a {recipe.sample.of}, at most {recipe.sample.frames} of its frames"))
    if bundle.input_kind != "image":
        rows.append(("Graph", f"{recipe.graph.builder}, about {recipe.graph.regions} regions"))
    if bundle.threshold is not None:
        rows.append(("Threshold", f"{bundle.threshold:.4f}, chosen on the validation side"))
    return rows


def funnel(manifest: dict[str, Any], measured: int, settings: ReportSettings) -> list[tuple[str, int]]:
    """From the objects listed to the samples measured."""
    listed, scored = manifest["index_funnel"], manifest["funnel"]
    steps = [
        ("listed", listed["listed"]),
        ("samples", scored["listed"]),
        ("scored", scored["status"].get("ok", 0)),
    ]
    return [*steps, ("measured", measured)] if settings.labels.file else steps


def failures(manifest: dict[str, Any]) -> list[Failure]:
    """Skipped objects of the index, failed samples of the predictions."""
    skipped = {
        name: count for name, count in manifest["index_funnel"]["reasons"].items() if name.startswith("skipped:")
    }
    counts = Counter(skipped) + Counter(manifest["funnel"]["reasons"])
    return [Failure(*name.split(":", 1), count) for name, count in counts.most_common()]  # type: ignore[call-arg]


def _retried(run: dict[str, Any]) -> str:
    return f"{', '.join(run['reasons'])}: {run['retried']:,} samples, now ok {run['ok']:,}"


def provenance(settings: ReportSettings, manifest: dict[str, Any], bundle: Bundle | None) -> list[tuple[str, str]]:
    """What made these numbers."""
    ledgers = {"ledger of the index": manifest["index_funnel"], "ledger of the samples": manifest["funnel"]}
    rows = [(of, funnel_lines("", funnel)[0].removeprefix(": ")) for of, funnel in ledgers.items()]
    rows += [("recipe", manifest["recipe_id"]), ("units", str(manifest["units"])), ("medray", __version__)]
    rows += [("scored by", manifest["code"])] + [("scored on", setup["cpu"]) for setup in manifest["setups"].values()]
    rows += [("retried", _retried(run)) for run in manifest.get("retries", ())]
    if bundle is not None:
        rows += [("split", bundle.split_hash), ("seed", str(bundle.seed))]
        rows += [(f"made with {name}", version) for name, version in bundle.versions.items()]
    return [*rows, ("split reported", settings.split), ("bootstrap resamples", str(settings.bootstrap))]
