"""The page of a segmentation: predicted masks ⋈ the labels' masks → metrics on the images' own pixels, and pictures."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int16

from medray import tables
from medray.archive.mask_labels import COLUMNS, join_masks
from medray.errors import LabelError, SampleError
from medray.image_settings import DecodeSettings
from medray.pipelines.examples import rows_of
from medray.pipelines.progress import say
from medray.pipelines.report_parts import SUBGROUPS, card, failures, funnel, provenance, subtitle
from medray.pipelines.sides import with_split
from medray.pixels.placement import Placement
from medray.reports.content import Failure, MaskExample, PageContent
from medray.reports.mask_metrics import MaskSums, compute_mask_metrics, sum_masks
from medray.reports.mask_sections import draw_spread
from medray.result_settings import ReportSettings
from medray.samples.masks import row_masks
from medray.scoring.examples import prepared_again
from medray.scoring.mask_choice import choose_masks
from medray.scoring.segmentations import mask_of, probabilities_of
from medray.training.bundle import Bundle

NO_AUROC = "There is no AUROC: the predictions hold no probabilities. medray score --probabilities true stores them."


@dataclass(frozen=True)
class _Measured:
    """Samples whose mask could be read: their rows and sums; and how many could not, by reason."""

    rows: list[dict[str, Any]]
    sums: list[MaskSums]
    unread: Counter[str]


def mask_content(
    everything: pa.Table, manifest: dict[str, Any], bundle: Bundle | None, *, settings: ReportSettings, key: bytes
) -> PageContent:
    """Measure the masks of a segmentation.

    Raises:
        LabelError: labels without masks, masks that match no sample, other classes than the model's, or no mask that
            can be read.
    """
    scored = everything.filter(pc.equal(everything["status"], "ok"))
    classes, with_labels = tuple(manifest["classes"]), settings.labels.file is not None
    found = _Measured([], [], Counter())
    if with_labels:
        frames = Counter(everything["object_id"].to_pylist())
        found = _measured(_labelled(scored, manifest, settings, key), frames, classes, key)
    bad = [Failure("failed", reason, count) for reason, count in found.unread.most_common()]
    counted = len(found.rows) if with_labels else scored.num_rows
    dice = np.array([one.dice for one in found.sums]).reshape(-1, len(classes))
    stored = scored["probabilities"].null_count < scored.num_rows
    return PageContent(
        task="segment",
        title=", ".join(classes),
        subtitle=subtitle(settings, manifest, counted, with_labels=with_labels),
        classes=classes,
        card=card(manifest, bundle),
        funnel=funnel(manifest, counted, settings),
        failures=[*failures(manifest), *bad],
        metrics=_metrics(found, classes, settings),
        remarks=() if stored else (NO_AUROC,),
        history=tables.read_table(settings.history) if settings.history else None,
        figures=(draw_spread(dice, classes),) if with_labels else (),
        masks=_pictures(found, classes, bundle, settings, key),
        provenance=provenance(settings, manifest, bundle),
    )


def _labelled(scored: pa.Table, manifest: dict[str, Any], settings: ReportSettings, key: bytes) -> pa.Table:
    """Scored samples of the chosen side with `mask`, `region` and `mask_values`."""
    labels, classes = settings.labels, manifest["classes"]
    if labels.task != "segment":
        what = "These predictions are masks, and the labels name none."
        raise LabelError(what, "Give --labels.mask_column and --labels.mask_classes.")
    if set(labels.mask_classes) != set(classes):
        said = ", ".join(labels.mask_classes)
        raise LabelError(f"--labels.mask_classes names {said}.", f"The model knows {', '.join(classes)}.")
    source = manifest["source"]
    index, archive = tables.read_table(source, COLUMNS), tables.read_manifest(source)["archive"]
    joined = join_masks(scored, index, labels, key=key, archive=archive)
    sided = with_split(joined.filter(pc.is_valid(joined["label"])), settings)
    if not sided.num_rows:
        sides = "the test side" if settings.split == "test" else f"the side {settings.split!r}"
        raise LabelError(f"No scored sample with a mask is on {sides}.", "Try --split all.")
    values = [[labels.mask_classes[name] for name in classes]] * sided.num_rows
    return sided.append_column("mask_values", pa.array(values, pa.list_(pa.int64())))


def _measured(labelled: pa.Table, frames: Counter[str], classes: tuple[str, ...], key: bytes) -> _Measured:
    """Each sample's mask held against the model's, one after the other."""
    rows, sums, unread = [], [], Counter[str]()
    for row, chances in _with_probabilities(labelled):
        row["frames"] = frames[row["object_id"]]
        try:
            truth = _truth(row, key)
        except SampleError as error:
            unread[error.reason.value] += 1
            continue
        rows.append(row)
        sums.append(sum_masks(truth, mask_of(row), probabilities_of(row, chances, len(classes)), len(classes)))
    if unread:
        said = ", ".join(f"{reason} {count:,}" for reason, count in unread.most_common())
        say(f"report: {unread.total():,} of {labelled.num_rows:,} masks cannot be used: {said}")
    if not rows:
        raise LabelError("No mask of these samples can be used.", "See the reasons above.")
    return _Measured(rows, sums, unread)


def _with_probabilities(labelled: pa.Table) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
    """Rows, and their probabilities as flat arrays: as Python's numbers they would take a hundred times the memory."""
    column = labelled["probabilities"]
    rest = labelled.drop_columns(["probabilities"])
    for number in range(labelled.num_rows):
        flat = column[number].values
        (row,) = rest.slice(number, 1).to_pylist()
        yield row, None if flat is None else flat.to_numpy(zero_copy_only=False)


def _truth(row: dict[str, Any], key: bytes) -> Int16[np.ndarray, "rows columns"]:
    """The class of each pixel of a frame, by its mask and region."""
    (mask,) = row_masks([row], key)
    assert mask is not None
    return mask.classes((row["rows"], row["columns"]), row["frame"], row["frames"], DecodeSettings().max_samples)


def _metrics(found: _Measured, classes: tuple[str, ...], settings: ReportSettings) -> pa.Table | None:
    if not found.rows:
        return None
    columns = {name: [row[name] for row in found.rows] for name in SUBGROUPS}
    return compute_mask_metrics(
        found.sums,
        classes,
        patients=[row["patient_key"] for row in found.rows],
        subgroups={name: values for name, values in columns.items() if len(set(values)) > 1},
        bootstrap=settings.bootstrap,
    )


def _pictures(
    found: _Measured, classes: tuple[str, ...], bundle: Bundle | None, settings: ReportSettings, key: bytes
) -> list[MaskExample]:
    """The worst, median and best samples, read again; by the last class of two, else by the mean over the classes."""
    if bundle is None or not found.rows or not settings.examples:
        return []
    dice = np.array([one.dice for one in found.sums])
    means = [np.mean(one[np.isfinite(one)]) if np.isfinite(one).any() else np.nan for one in dice]
    picks = choose_masks(dice[:, 1] if len(classes) == 2 else np.array(means), settings.examples)
    source = tables.read_manifest(settings.predictions)["source"]
    index = rows_of(source, [found.rows[row] for row, _ in picks], "object_id")
    pictures = []
    for number, why in picks:
        row = found.rows[number]
        try:
            image = prepared_again({**index[row["object_id"]], "frame": row["frame"]}, key, bundle.recipe)
            truth = _truth(row, key)
        except SampleError as error:
            say(f"report: an example is left out ({error.reason.value})")
            continue
        placement = Placement.of(row["placement"])
        masks = placement.to_input(truth), placement.to_input(mask_of(row))
        pictures.append(MaskExample(image[0], *masks, why, dice[number].tolist(), row["sample_id"]))
    return pictures
