"""Prepared samples, made once by Ray Data and kept as Parquet: every epoch, seed and worker reads these."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import ray.data

from medray import __version__, storage, tables
from medray.errors import LabelError
from medray.image_settings import DecodeSettings
from medray.label_settings import TaskName
from medray.pipelines.cluster import cpus
from medray.pipelines.progress import progress, say
from medray.pipelines.units import (
    PlannedUnit,
    WithoutText,
    ledger_of,
    ledger_row,
    on_actors,
    planned_units,
    unit_dataset,
    unit_of,
)
from medray.samples.clock import Taken, running, stage, unit_clock
from medray.samples.frame_sets import cut_samples
from medray.samples.isolated import isolated_images_of, prepare_unit
from medray.samples.tables import InputKind, to_graphs
from medray.settings import RaySettings, Recipe

FROM_PLAN = ("object_id", "patient_key", "label_number", "split")
MASK_COLUMNS = ("mask", "region", "mask_values")
"""In the place of `label_number`, where each pixel has a label."""


@dataclass(frozen=True)
class CacheSettings:
    """What decides the samples in a cache, and where it lies."""

    uri: str
    recipe: Recipe
    kind: InputKind
    task: TaskName
    classes: int
    stages: str
    key: bytes = field(repr=False)
    decode: DecodeSettings
    ray: RaySettings

    @property
    def answers(self) -> str:
        """The column that says what a model should answer."""
        if self.task == "classify":
            return "label_number"
        return "mask" if self.kind == "image" else "class_counts"


def with_plan_columns(samples: pa.Table, rows: pa.Table) -> pa.Table:
    """Samples with label, split and patient of their objects."""
    planned = rows.select([name for name in FROM_PLAN if name in rows.column_names]).take(samples["row"])
    for name in planned.column_names:
        samples = samples.append_column(name, planned[name])
    return samples


class CacheWriter:
    """A warm actor: reads, decodes, prepares (and converts) a unit a call, and writes its part file (`fused`)."""

    def __init__(self, settings: CacheSettings) -> None:
        self.settings = settings

    @WithoutText()
    @unit_clock("cache")
    def __call__(self, block: pa.Table) -> pa.Table:
        """Prepare the unit that a row names; its ledger row."""
        unit = unit_of(block)
        rows = unit.rows()
        settings = self.settings
        recipe, kind, classes = settings.recipe, settings.kind, settings.classes
        samples = prepare_unit(rows, settings.key, recipe, kind, decode=settings.decode, classes=classes)
        return self.write(unit.unit_id, with_plan_columns(samples, rows))

    def write(self, unit_id: str, samples: pa.Table) -> pa.Table:
        """Write a part file; its ledger row."""
        with stage("write"):
            storage.write_parquet(tables.part_uri(self.settings.uri, unit_id), samples, use_dictionary=False)
        return ledger_row(unit_id, samples)


@dataclass(frozen=True)
class ImageReader:
    """The first of two stages (`actors`): images of a unit, with the unit's id and what they took in each row."""

    settings: CacheSettings

    @unit_clock("prepare")
    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """The prepared images of a unit."""
        rows = unit.rows()
        images = isolated_images_of(rows, self.settings.key, self.settings.recipe, self.settings.decode)
        samples = with_plan_columns(images, rows)
        for name, value in (("unit_id", unit.unit_id), ("taken", running().taken().packed())):
            samples = samples.append_column(name, pa.array([value] * samples.num_rows, pa.string()))
        return samples


class GraphConverter:
    """The second of two stages (`actors`): images to region graphs in actors of their own."""

    def __init__(self, settings: CacheSettings) -> None:
        self.settings = settings

    @WithoutText()
    @unit_clock("cache")
    def __call__(self, samples: pa.Table) -> pa.Table:
        """Convert and write a unit; its ledger row."""
        unit_id = samples["unit_id"][0].as_py()
        running().add(Taken.unpacked(samples["taken"][0].as_py()))
        samples = samples.drop_columns(["unit_id", "taken"])
        if self.settings.kind != "image":
            samples = to_graphs(samples, self.settings.recipe, self.settings.kind, self.settings.classes)
        return CacheWriter(self.settings).write(unit_id, samples)


def prepare_cache(settings: CacheSettings, labelled: pa.Table) -> dict[str, Any]:
    """Prepare every labelled object once, or take up what an earlier run prepared; the cache's manifest.

    Args:
        settings: what and where.
        labelled: rows of the index with `split`, and `label_number` or MASK_COLUMNS.

    Raises:
        LabelError: not one sample can be used.
    """
    names = ("object_id", "etag", "split", "label_number", *MASK_COLUMNS)
    deciding = labelled.select([name for name in names if name in labelled.column_names]).sort_by("object_id")
    digest = tables.digest(deciding.to_pydict())
    run = {
        "job": "cache",
        "recipe": settings.recipe.id(),
        "kind": settings.kind,
        "rows": digest,
        "cross_check": settings.decode.cross_check,
        "medray": __version__,
    }
    if tables.claim(settings.uri, run):
        say(f"train: prepared samples are there already ({settings.uri})")
        return tables.read_manifest(settings.uri)
    sample = settings.recipe.sample
    units = planned_units(settings.uri, lambda: cut_samples(labelled, settings.ray.unit_bytes, sample))
    done = tables.finished_parts(settings.uri)
    todo = [unit for unit in units if unit.unit_id not in done]
    if todo:
        for _ in progress(ledger_of(_dataset(todo, settings), "prepare"), total=len(todo), what="prepare"):
            pass
    return _finish(settings, units)


def _dataset(todo: list[PlannedUnit], settings: CacheSettings) -> Any:
    if settings.stages == "fused":
        return on_actors(todo, CacheWriter, (settings,), actors=cpus(), settings=settings.ray)
    images = unit_dataset(todo, ImageReader(settings), name="read", settings=settings.ray, num_cpus=0.5)
    return images.map_batches(
        GraphConverter,
        fn_constructor_args=(settings,),
        batch_size=None,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=max(1, min(cpus() // 2, len(todo)))),
        num_cpus=0.5,
        max_restarts=settings.ray.max_retries,
        max_task_retries=settings.ray.max_retries,
    )


def _finish(settings: CacheSettings, units: list[PlannedUnit]) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    classes = np.zeros(settings.classes, np.int64)
    columns = ["status", "reason", "split", settings.answers]
    for unit in units:
        part = storage.read_parquet(tables.part_uri(settings.uri, unit.unit_id), columns)
        rows = part.drop_columns([settings.answers]).to_pylist()
        counts.update(row["split"] if row["status"] == "ok" else "failed" for row in rows)
        failures.update(row["reason"] for row in rows if row["reason"])
        training = pa.array([row["status"] == "ok" and row["split"] == "train" for row in rows])
        classes += _class_totals(part[settings.answers].filter(training), settings)
    if failures:
        said = ", ".join(f"{reason} {count:,}" for reason, count in failures.most_common())
        say(f"train: {failures.total():,} of {counts.total():,} samples cannot be used: {said}")
    if not counts["train"]:
        raise LabelError(f"No training sample can be used ({dict(failures)} failed).", "See the reasons in the index.")
    manifest = {
        "kind": "samples",
        "generation": 1,
        "rows": counts.total(),
        "files": [f"{tables.PARTS}/part-{unit.unit_id}.parquet" for unit in units],
        "counts": {**counts, "train_classes": classes.tolist()},
        "failures": failures,
    }
    storage.write_json(storage.join(settings.uri, tables.MANIFEST), manifest)
    return manifest


def _class_totals(answers: pa.ChunkedArray, settings: CacheSettings) -> np.ndarray:
    """Samples of each class; where each pixel has a label, pixels."""
    if settings.answers == "label_number":
        return np.bincount(answers.to_numpy(), minlength=settings.classes)
    values = pc.list_flatten(answers).to_numpy()
    if settings.answers == "mask":
        return np.bincount(values[values >= 0], minlength=settings.classes)
    totals: np.ndarray = values.reshape(-1, settings.classes).sum(axis=0, dtype=np.int64)
    return totals


@dataclass(frozen=True)
class CacheReader:
    """Reads the samples of one side of the split from a part file."""

    split: str

    def __call__(self, uri: str) -> pa.Table:
        """The usable samples of a part file on this side."""
        samples = storage.read_parquet(uri)
        chosen = pc.and_(pc.equal(samples["status"], "ok"), pc.equal(samples["split"], self.split))
        return samples.filter(chosen)


def cached_dataset(uri: str, split: str, ray_settings: RaySettings) -> Any:
    """A dataset with one block for each part file of a cache."""
    files = [storage.join(uri, name) for name in tables.read_manifest(uri)["files"]]
    return unit_dataset(files, CacheReader(split), name=f"cache-{split}", settings=ray_settings)
