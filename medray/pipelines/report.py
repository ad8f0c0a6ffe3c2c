"""`medray report`: predictions ⋈ labels → metrics table and one self-contained page."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from medray import storage, tables
from medray.archive.identity import load_key
from medray.errors import BundleError, OutputError
from medray.label_settings import TaskName
from medray.pipelines.class_report import class_content
from medray.pipelines.mask_report import mask_content
from medray.pipelines.progress import say
from medray.reports.console import summarize
from medray.reports.content import PageContent
from medray.reports.page import render_page
from medray.result_settings import ReportSettings
from medray.schema import METRICS
from medray.training.bundle import load_bundle

CONTENTS: dict[TaskName, Callable[..., PageContent]] = {"classify": class_content, "segment": mask_content}


def report(settings: ReportSettings) -> dict[str, Any]:
    """Measure predictions and draw the page; the manifest of the metrics table.

    Raises:
        OutputError: the predictions are not finished, or no predictions, or the output folder holds something else.
        BundleError: the bundle did not make the predictions.
        SettingsError: masks for a classification.
        LabelError: labels that match no sample, or no masks for a segmentation.
    """
    settings = replace(settings, out=storage.absolute(settings.out), predictions=storage.absolute(settings.predictions))
    manifest, key = _manifest(settings.predictions), load_key(settings.key_file)
    bundle = load_bundle(settings.bundle) if settings.bundle else None
    if bundle is not None and bundle.model_id != manifest["model_id"]:
        raise BundleError(
            f"The bundle holds model {bundle.model_id}, and the predictions are of {manifest['model_id']}.",
            "Give --bundle the folder that scored them, or leave it out.",
        )
    tables.claim(settings.out, {"job": "report", "predictions": settings.predictions})
    everything = tables.read_table(settings.predictions)
    content = CONTENTS[manifest["task"]](everything, manifest, bundle, settings=settings, key=key)
    page = storage.join(settings.out, "report.html")
    storage.write_bytes(page, render_page(content).encode())
    facts: dict[str, Any] = {
        "page": page,
        "predictions": settings.predictions,
        "model_id": manifest["model_id"],
        "split": settings.split,
    }
    rows = [content.metrics] if content.metrics is not None else []
    finished = tables.finish(settings.out, "metrics", rows, schema=METRICS, facts=lambda: facts)
    print(summarize(content))
    say(f"report: {page}")
    return finished


def _manifest(predictions: str) -> dict[str, Any]:
    manifest = tables.read_manifest(predictions)
    if manifest["kind"] == "models":
        names = ", ".join(tables.read_table(predictions)["name"].to_pylist())
        raise OutputError(f"{predictions} is a table of models.", f"Give one of the folders in it: {names}.")
    if manifest["kind"] != "predictions":
        raise OutputError(f"{predictions} is a table of {manifest['kind']}.", "Give the --out of `medray score`.")
    return manifest
