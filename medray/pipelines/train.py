"""`medray train`: index + labels → split → prepared samples, cached → Ray Train, a run a seed → bundles and history."""

import hashlib
from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.identity import load_key
from medray.archive.labels import join_labels, read_labels
from medray.archive.mask_labels import COLUMNS, join_masks
from medray.archive.splits import assign_splits, check_no_leak, split_hash
from medray.errors import LabelError, SettingsError
from medray.label_settings import LabelSettings
from medray.models.catalog import build_model, model_family
from medray.pipelines.cache import CacheSettings, prepare_cache
from medray.pipelines.cluster import cluster
from medray.pipelines.index import ensure_index, generation_of, known_index
from medray.pipelines.progress import say
from medray.pipelines.ranks import SeedRun, train_seed
from medray.pipelines.sides import SPLIT_FILE
from medray.samples.sample_labels import with_sample_labels
from medray.schema import HISTORY
from medray.settings import TrainSettings
from medray.training.model_inputs import model_inputs
from medray.training.summary import mean_interval

SPLIT_COLUMNS = ["object_id", "patient_key", "label", "split"]


def train(settings: TrainSettings) -> dict[str, Any]:
    """Train one model a seed; the manifest of the history table, with the summary over the seeds.

    Raises:
        SettingsError: no such model, or an option that it does not have or cannot be built with.
        LabelError: labels that match nothing, a class without enough patients.
        LeakError: a patient on two sides of the split.
        OutputError: the output folder holds something else.
    """
    settings = replace(settings, out=storage.absolute(settings.out))
    known = known_index(settings.source, settings.key_file)
    run = _run(settings, known)
    if tables.is_finished(settings.out, run):
        say(f"train: {settings.out} is finished already")
        return tables.read_manifest(settings.out)
    if settings.task == "segment" and settings.recipe.sample.is_set:
        raise SettingsError("--recipe.sample.of is of classes; masks are of frames.", "Leave it at `frame`.")
    build_model(settings.model, num_classes=2, **model_inputs(settings))  # what cannot be built is refused now
    key = load_key(settings.key_file)
    if settings.labels.file:
        read_labels(settings.labels.file, settings.labels)
    labelled = labelled_rows(known, settings, key) if known else None
    tables.claim(settings.out, run)
    with cluster(settings.ray, spare_cpus=settings.num_workers):
        if labelled is None:
            own = storage.join(settings.out, tables.OWN_INDEX)
            labelled = labelled_rows(ensure_index(settings.source, own, settings.key_file, settings.ray), settings, key)
        classes = _classes(labelled, settings.labels)
        storage.write_parquet(storage.join(settings.out, SPLIT_FILE), labelled.select(SPLIT_COLUMNS))
        say(f"train: {_counts(labelled)}")
        cache = prepare_cache(_cache_settings(settings, key, classes), with_answers(labelled, classes, settings.labels))
        first = _seed_run(settings, classes, split_hash(labelled), cache)
        results = [train_seed(replace(first, seed=settings.seed + number)) for number in range(settings.seeds)]
    return _finish(settings, results)


def _run(settings: TrainSettings, known: str | None) -> dict[str, Any]:
    """What decides the result; where the job runs and how samples are prepared does not."""
    deciding = {
        name: value
        for name, value in asdict(settings).items()
        if name not in ("out", "ray", "key_file", "cache", "stages")
    }
    content = storage.read_bytes(settings.labels.file) if settings.labels.file else b""
    inputs = {"source": storage.absolute(settings.source), "index_generation": generation_of(known)}
    inputs["labels_content"] = hashlib.sha256(content).hexdigest()[:16]
    return {"job": "train", **deciding, **inputs, "medray": __version__}


def labelled_rows(source: str, settings: TrainSettings, key: bytes) -> pa.Table:
    """Images of an index that have a label (or a mask) and a side of the split."""
    index, archive = tables.read_table(source), tables.read_manifest(source)["archive"]
    rows = chosen_rows(index, settings.labels)
    if settings.task == "segment":
        labelled = join_masks(rows, index.select(COLUMNS), settings.labels, key=key, archive=archive)
    else:
        labelled = join_labels(rows, settings.labels, key, archive)
    labelled = with_sample_labels(labelled, settings.recipe.sample)
    labelled = labelled.filter(pc.is_valid(labelled["label"]))
    labelled = assign_splits(labelled, settings.split)
    check_no_leak(labelled)
    labelled = labelled.filter(pc.is_valid(labelled["split"]))
    classes = _classes(labelled, settings.labels)
    if len(classes) < 2:
        raise LabelError(f"The labels have {len(classes)} class ({', '.join(classes)}).", "Training needs two or more.")
    return labelled


def chosen_rows(index: pa.Table, labels: LabelSettings) -> pa.Table:
    """Rows of images, cut down to those that `labels.where` asks for.

    Raises:
        LabelError: a column that the index does not have, or nothing left.
    """
    rows = index.filter(pc.equal(index["status"], "ok"))
    for column, value in labels.where.items():
        if column not in rows.column_names:
            raise LabelError(f"The index has no column {column!r}.", f"It has {', '.join(rows.column_names)}.")
        rows = rows.filter(pc.equal(rows[column].cast(pa.string()), str(value)))
    if not rows.num_rows:
        raise LabelError(
            f"No image of the index is left (where {labels.where}).", "Check --labels.where and the index."
        )
    return rows


def _classes(labelled: pa.Table, labels: LabelSettings) -> tuple[str, ...]:
    """The classes in the order of the logits: of masks by rising value, else by name."""
    return tuple(labels.mask_values) or tuple(sorted(set(labelled["label"].to_pylist())))


def with_answers(labelled: pa.Table, classes: tuple[str, ...], labels: LabelSettings) -> pa.Table:
    """A column `label_number` beside `label`; of masks `mask_values`, the value of each class."""
    if labels.task == "segment":
        values = pa.array([list(labels.mask_values.values())] * labelled.num_rows, pa.list_(pa.int64()))
        return labelled.append_column("mask_values", values)
    numbers = pc.index_in(labelled["label"], value_set=pa.array(classes, pa.string()))
    return labelled.append_column("label_number", numbers.cast(pa.int64()))


def _counts(labelled: pa.Table) -> str:
    sides = Counter(zip(labelled["split"].to_pylist(), labelled["label"].to_pylist(), strict=True))
    patients = len(set(labelled["patient_key"].to_pylist()))
    said = ", ".join(f"{side} {label} {count:,}" for (side, label), count in sorted(sides.items()))
    return f"{labelled.num_rows:,} labelled images of {patients:,} patients: {said}"


def _cache_settings(settings: TrainSettings, key: bytes, classes: tuple[str, ...]) -> CacheSettings:
    return CacheSettings(
        uri=storage.absolute(settings.cache) if settings.cache else storage.join(settings.out, "_cache"),
        recipe=settings.recipe,
        kind="image" if settings.augment.is_on else model_family(settings.model).input_kind,
        task=settings.task,
        classes=len(classes),
        stages=settings.stages,
        key=key,
        decode=settings.decode,
        ray=settings.ray,
    )


def _seed_run(settings: TrainSettings, classes: tuple[str, ...], split: str, cache: dict[str, Any]) -> SeedRun:
    uri = storage.absolute(settings.cache) if settings.cache else storage.join(settings.out, "_cache")
    return SeedRun(settings, settings.seed, classes, split, cache=uri, counts=cache["counts"])


def _finish(settings: TrainSettings, results: list[dict[str, Any]]) -> dict[str, Any]:
    summary = {}
    for name in sorted({name for result in results for name in result["metrics"]}):
        values = [result["metrics"][name] for result in results if np.isfinite(result["metrics"].get(name, np.nan))]
        if values:
            summary[name] = asdict(mean_interval(values))
    history = pa.concat_tables([storage.read_parquet(result["history"]) for result in results])
    facts: dict[str, Any] = {
        "model": settings.model,
        "bundles": [result["bundle"] for result in results],
        "seeds": [{"seed": result["seed"], **result["metrics"]} for result in results],
        "summary": summary,
    }
    split = storage.read_bytes(storage.join(settings.out, SPLIT_FILE))
    for uri in facts["bundles"]:
        storage.write_bytes(storage.join(uri, SPLIT_FILE), split)
    manifest = tables.finish(settings.out, "history", [history], schema=HISTORY, facts=lambda: facts)
    for name, value in summary.items():
        spread = (
            "" if value["low"] is None else f" ({value['low']:.4f} to {value['high']:.4f} over {value['count']} seeds)"
        )
        say(f"train: {name} {value['mean']:.4f}{spread}")
    say(f"train: bundle {', '.join(facts['bundles'])}")
    return manifest
