"""The page of a classification: predictions ⋈ labels → metrics, figures and heated examples."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray import tables
from medray.archive.labels import join_labels
from medray.errors import LabelError, SettingsError
from medray.image_settings import SampleRecipe
from medray.pipelines.examples import heated_examples
from medray.pipelines.report_parts import SUBGROUPS, card, failures, funnel, provenance, subtitle
from medray.pipelines.sides import with_split
from medray.pipelines.verify import slices_to_score
from medray.reports.content import PageContent
from medray.reports.figures import draw_figures
from medray.reports.metrics import Evaluation, compute_metrics
from medray.result_settings import ReportSettings
from medray.samples.frame_sets import SAMPLE_KEY
from medray.samples.sample_labels import with_sample_labels
from medray.training.bundle import Bundle


def class_content(
    everything: pa.Table, manifest: dict[str, Any], bundle: Bundle | None, *, settings: ReportSettings, key: bytes
) -> PageContent:
    """Measure the predictions of a classification.

    Raises:
        SettingsError: masks are given.
        LabelError: labels that match no sample, or classes that the model does not know.
    """
    if settings.labels.task != "classify":
        raise SettingsError("--labels.mask_column is given, and these predictions are classes of images.")
    labelled = _labelled(everything, manifest, settings, key)
    evaluation, chosen = _evaluation(labelled, manifest, bundle, with_labels=settings.labels.file is not None)
    heated = heated_examples(evaluation, chosen, bundle, settings=settings, key=key)
    return PageContent(
        title=" or ".join(manifest["classes"]),
        subtitle=subtitle(settings, manifest, chosen.num_rows, with_labels=evaluation.labels is not None),
        classes=tuple(manifest["classes"]),
        card=card(manifest, bundle),
        funnel=funnel(manifest, chosen.num_rows, settings),
        failures=failures(manifest),
        metrics=_metrics(evaluation, chosen, settings),
        history=tables.read_table(settings.history) if settings.history else None,
        figures=draw_figures(evaluation) if chosen.num_rows else (),
        examples=heated.examples,
        heat_method=heated.method,
        heat_checks=heated.checks,
        provenance=provenance(settings, manifest, bundle),
    )


def _labelled(everything: pa.Table, manifest: dict[str, Any], settings: ReportSettings, key: bytes) -> pa.Table:
    """Scored samples of the chosen side, with their labels where there are any."""
    scored = everything.filter(pc.equal(everything["status"], "ok"))
    if settings.labels.file is None:
        return scored.append_column("label_given", pa.nulls(scored.num_rows, pa.string()))
    joined = _joined(scored.rename_columns({"label": "predicted"}), manifest, settings, key)
    joined = joined.rename_columns({"label": "label_given", "predicted": "label"})
    joined = joined.filter(pc.is_valid(joined["label_given"]))
    sided = with_split(joined, settings)
    if not sided.num_rows:
        sides = "the test side" if settings.split == "test" else f"the side {settings.split!r}"
        raise LabelError(f"No scored sample with a label is on {sides}.", "Try --split all.")
    return sided


def _joined(scored: pa.Table, manifest: dict[str, Any], settings: ReportSettings, key: bytes) -> pa.Table:
    """Scored samples with `label` and `split`; those of several frames have them of their objects."""
    sample, source = SampleRecipe(**manifest["sample"]), manifest["source"]
    archive = tables.read_manifest(source)["archive"]
    if not sample.is_set:
        return join_labels(scored, settings.labels, key, archive)
    objects = pa.concat_tables(slices_to_score(source, tables.ROWS_PER_FILE))
    labelled = with_sample_labels(join_labels(objects, settings.labels, key, archive), sample)
    place = pc.index_in(scored["sample_id"], value_set=labelled[SAMPLE_KEY].combine_chunks())
    patients = pc.coalesce(labelled["patient_key"].take(place), scored["patient_key"])
    scored = scored.set_column(scored.column_names.index("patient_key"), "patient_key", patients)
    for name in ("label", "split"):
        scored = scored.append_column(name, labelled[name].take(place))
    return scored


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
