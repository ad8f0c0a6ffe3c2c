"""`medray report`: predictions ⋈ labels → metrics table and one self-contained page."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.identity import load_key
from medray.archive.labels import join_labels
from medray.errors import BundleError, LabelError
from medray.pipelines.examples import heated_examples
from medray.pipelines.progress import say
from medray.pipelines.sides import with_split
from medray.reports.console import summarize
from medray.reports.content import Failure, PageContent
from medray.reports.figures import draw_figures
from medray.reports.metrics import Evaluation, compute_metrics
from medray.reports.page import render_page
from medray.schema import METRICS
from medray.settings import ReportSettings
from medray.training.bundle import Bundle, load_bundle

SUBGROUPS = ("modality", "patient_sex", "manufacturer")


def report(settings: ReportSettings) -> dict[str, Any]:
    """Measure predictions and draw the page; the manifest of the metrics table.

    Raises:
        OutputError: the predictions are not finished, or the output folder holds something else.
        BundleError: the bundle did not make the predictions.
        LabelError: labels that match no sample.
    """
    settings = replace(settings, out=storage.absolute(settings.out), predictions=storage.absolute(settings.predictions))
    manifest, key = tables.read_manifest(settings.predictions), load_key(settings.key_file)
    bundle = load_bundle(settings.bundle) if settings.bundle else None
    if bundle is not None and bundle.model_id != manifest["model_id"]:
        raise BundleError(
            f"The bundle holds model {bundle.model_id}, and the predictions are of {manifest['model_id']}.",
            "Give --bundle the folder that scored them, or leave it out.",
        )
    tables.claim(settings.out, {"job": "report", "predictions": settings.predictions})
    everything = tables.read_table(settings.predictions)
    labelled = _labelled(everything, settings, key)
    evaluation, chosen = _evaluation(labelled, manifest, bundle, with_labels=settings.labels.file is not None)
    metrics = _metrics(evaluation, chosen, settings)
    heated = heated_examples(evaluation, chosen, bundle, settings=settings, key=key)
    content = PageContent(
        title=" or ".join(manifest["classes"]),
        subtitle=_subtitle(settings, evaluation, manifest),
        classes=tuple(manifest["classes"]),
        card=_card(manifest, bundle),
        funnel=_funnel(manifest, chosen.num_rows, settings),
        failures=_failures(manifest),
        metrics=metrics,
        history=tables.read_table(settings.history) if settings.history else None,
        figures=draw_figures(evaluation) if chosen.num_rows else (),
        examples=heated.examples,
        heat_method=heated.method,
        heat_checks=heated.checks,
        provenance=_provenance(settings, manifest, bundle),
    )
    page = storage.join(settings.out, "report.html")
    storage.write_bytes(page, render_page(content).encode())
    facts: dict[str, Any] = {
        "page": page,
        "predictions": settings.predictions,
        "model_id": manifest["model_id"],
        "split": settings.split,
    }
    rows = [metrics] if metrics is not None else []
    finished = tables.finish(settings.out, "metrics", rows, schema=METRICS, facts=lambda: facts)
    print(summarize(content))
    say(f"report: {page}")
    return finished


def _labelled(everything: pa.Table, settings: ReportSettings, key: bytes) -> pa.Table:
    """Scored samples of the chosen side, with their labels where there are any."""
    scored = everything.filter(pc.equal(everything["status"], "ok"))
    if settings.labels.file is None:
        return scored.append_column("label_given", pa.nulls(scored.num_rows, pa.string()))
    source = tables.read_manifest(storage.join(settings.predictions))["source"]
    archive = tables.read_manifest(source)["archive"]
    joined = join_labels(scored.rename_columns({"label": "predicted"}), settings.labels, key, archive)
    joined = joined.rename_columns({"label": "label_given", "predicted": "label"})
    joined = joined.filter(pc.is_valid(joined["label_given"]))
    sided = with_split(joined, settings)
    if not sided.num_rows:
        sides = "the test side" if settings.split == "test" else f"the side {settings.split!r}"
        raise LabelError(f"No scored sample with a label is on {sides}.", "Try --split all.")
    return sided


def _evaluation(
    labelled: pa.Table, manifest: dict[str, Any], bundle: Bundle | None, *, with_labels: bool
) -> tuple[Evaluation, pa.Table]:
    """What the metrics rest on; labels that the model does not know are refused."""
    classes = tuple(manifest["classes"])
    truth = None
    if with_labels:
        unknown = set(labelled["label_given"].to_pylist()) - set(classes)
        if unknown:
            raise LabelError(
                f"The labels have {len(unknown)} classes that the model does not: {', '.join(sorted(unknown)[:5])}.",
                f"It knows {', '.join(classes)}; check --labels.column.",
            )
        truth = pc.index_in(labelled["label_given"], value_set=pa.array(classes)).to_numpy().astype(np.int64)
    flat = labelled["probabilities"].combine_chunks().flatten().to_numpy().reshape(-1, len(classes))
    threshold = manifest.get("threshold") if bundle is None else bundle.threshold
    patients = labelled["patient_key"].to_pylist()
    return Evaluation(flat, classes, truth, threshold, patients), labelled


def _metrics(evaluation: Evaluation, chosen: pa.Table, settings: ReportSettings) -> pa.Table | None:
    if evaluation.labels is None:
        return None
    columns = {name: chosen[name].to_pylist() for name in SUBGROUPS}
    return compute_metrics(
        evaluation.labels,
        evaluation.probabilities,
        evaluation.classes,
        threshold=evaluation.threshold,
        patients=evaluation.patients,
        subgroups={name: values for name, values in columns.items() if len(set(values)) > 1},
        bootstrap=settings.bootstrap,
    )


def _subtitle(settings: ReportSettings, evaluation: Evaluation, manifest: dict[str, Any]) -> str:
    count = len(evaluation.patients)
    if evaluation.labels is None:
        return f"{count:,} scored samples, no labels given"
    side = "all labelled samples" if settings.split == "all" else f"the {settings.split} side of the split"
    return f"{count:,} scored samples: {side}; {manifest['rows']:,} samples in the archive"


def _card(manifest: dict[str, Any], bundle: Bundle | None) -> list[tuple[str, str]]:
    rows = [("Model id", manifest["model_id"]), ("Classes", ", ".join(manifest["classes"]))]
    if bundle is None:
        return rows
    recipe = bundle.recipe
    window = f"window {recipe.window}" if recipe.window else "z-score over the image"
    rows += [("Model", bundle.model_name), ("Input", f"{bundle.input_kind}, {recipe.size} × {recipe.size}, {window}")]
    if bundle.input_kind != "image":
        rows.append(("Graph", f"{recipe.graph.builder}, about {recipe.graph.regions} regions"))
    if bundle.threshold is not None:
        rows.append(("Threshold", f"{bundle.threshold:.4f}, chosen on the validation side"))
    return rows


def _funnel(manifest: dict[str, Any], measured: int, settings: ReportSettings) -> list[tuple[str, int]]:
    listed, scored = manifest["index_funnel"], manifest["funnel"]
    steps = [
        ("listed", listed["listed"]),
        ("samples", scored["listed"]),
        ("scored", scored["status"].get("ok", 0)),
    ]
    return [*steps, ("measured", measured)] if settings.labels.file else steps


def _failures(manifest: dict[str, Any]) -> list[Failure]:
    """Skipped objects of the index, failed samples of the predictions."""
    skipped = {
        name: count for name, count in manifest["index_funnel"]["reasons"].items() if name.startswith("skipped:")
    }
    counts = Counter(skipped) + Counter(manifest["funnel"]["reasons"])
    return [Failure(*name.split(":", 1), count) for name, count in counts.most_common()]  # type: ignore[call-arg]


def _provenance(settings: ReportSettings, manifest: dict[str, Any], bundle: Bundle | None) -> list[tuple[str, str]]:
    rows = [("recipe", manifest["recipe_id"]), ("units", str(manifest["units"])), ("medray", __version__)]
    if bundle is not None:
        rows += [("split", bundle.split_hash), ("seed", str(bundle.seed))]
        rows += [(f"made with {name}", version) for name, version in bundle.versions.items()]
    return [*rows, ("split reported", settings.split), ("bootstrap resamples", str(settings.bootstrap))]
