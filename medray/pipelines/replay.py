"""`medray replay`: a row of predictions scored again in its own batch, compared bit by bit, and shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from medray import storage
from medray.archive.identity import load_key
from medray.errors import DifferentError, OutputError
from medray.image_settings import DecodeSettings
from medray.pipelines.progress import say
from medray.pipelines.replay_views import frame_pictures, pictures_of, provenance_of, weightiest_frames
from medray.pipelines.stored import (
    StoredRow,
    changed_objects,
    index_rows,
    predictions_manifest,
    rows_of_sample,
    scored_index,
    stored_plan,
    stored_row,
)
from medray.reports.replay_page import Compared, Picture, ReplayContent, render_replay
from medray.result_settings import ReplaySettings
from medray.samples.inputs import prepare_inputs
from medray.scoring.plan import ScoringPlan
from medray.scoring.provenance import code_version, differences, setup_of
from medray.scoring.warm import WarmModels
from medray.settings import ScoreSettings
from medray.training.bundle import Bundle, load_bundle

ANSWERED = {
    "classify": ("label", "logits", "probabilities"),
    "segment": ("rows", "columns", "area_fractions", "placement", "run_classes", "run_lengths", "probabilities"),
}
OF_FRAMES = ("frames_listed", "frames_failed", "frame_ids", "frame_weights")
OUTCOME = ("status", "reason", "decoder", "flags")


@dataclass(frozen=True)
class Inputs:
    """What a batch is made of again.

    Attributes:
        samples: prepared, in the batch's order, for each input of the plan.
        rows: of the index, which their column `row` counts.
        place: of the sample in question.
        remarks: what could not be had as it was.
    """

    samples: list[pa.Table]
    rows: pa.Table
    place: int
    remarks: list[str]


def replay(settings: ReplaySettings) -> dict[str, Any]:
    """Score a sample again as it was scored, compare, and write the page that shows it; both rows.

    Raises:
        OutputError: no such sample, or its object or the index has changed since.
        BundleError: the bundle is not at hand.
        DifferentError: a number is not the one that is stored; the page is written all the same.
    """
    uri = storage.absolute(settings.predictions)
    manifest, key = predictions_manifest(uri), load_key(settings.key_file)
    plan = stored_plan(manifest, settings.bundle)
    bundle = load_bundle(plan.members[plan.outputs[0].members[0]].uri)  # of a mean the first: its heat is shown
    stored = stored_row(uri, settings.sample, manifest)
    inputs = _inputs(stored, manifest, plan, key)
    again = _scored_again(stored, inputs, plan)
    names = (*OUTCOME, *ANSWERED[bundle.task], *(OF_FRAMES if plan.sample.is_set else ()))
    compared = [
        Compared(name, stored.row[name], again[name], _bits(stored.row[name]) == _bits(again[name])) for name in names
    ]
    different = [each.name for each in compared if not each.same]
    why = [*inputs.remarks, *_why(stored)]
    content = ReplayContent(
        settings.sample,
        bundle.classes,
        len(stored.batch),
        compared,
        why=why,
        provenance=provenance_of(stored),
        pictures=_pictures(uri, stored.row, manifest["source"], bundle, key=key),
    )
    page = storage.join(storage.absolute(settings.out), f"replay-{settings.sample.replace(':', '-')}.html")
    storage.write_bytes(page, render_replay(content).encode())
    print("\n".join(content.lines()))
    say(f"replay: {page}")
    if different:
        cure = " ".join(f"{reason}." for reason in why) or "Nothing that medray records differs: please report it."
        raise DifferentError(f"{', '.join(different)} of {settings.sample} differ from what is stored.", cure)
    return {"stored": stored.row, "replayed": again, "page": page}


def _pictures(uri: str, row: dict[str, Any], source: str, bundle: Bundle, *, key: bytes) -> list[Picture]:
    """Of a frame its image, graph, and heat or mask; of several frames those that weigh most."""
    shown = weightiest_frames(row) if bundle.recipe.sample.is_set else [row["sample_id"]]
    indexed = {each["object_id"]: each for each in (index_rows(source, shown).to_pylist() if shown else ())}
    if bundle.recipe.sample.is_set:
        return frame_pictures(row, shown, indexed, bundle, key=key)
    return pictures_of(uri, row, indexed[row["object_id"]], bundle, key=key)


def _inputs(stored: StoredRow, manifest: dict[str, Any], plan: ScoringPlan, key: bytes) -> Inputs:
    """Prepare the batch again.

    Raises:
        OutputError: the sample's own object is not what it was.
    """
    source, own, sample_id = scored_index(manifest, key), stored.row["object_id"], stored.row["sample_id"]
    several = plan.sample.is_set
    rows = rows_of_sample(source, stored.row, plan.sample) if several else index_rows(source, stored.batch)
    changed = changed_objects(rows, key)
    if gone := sorted(changed.keys() & (set(rows["object_id"].to_pylist()) if several else {own})):
        was = dict(zip(rows["object_id"].to_pylist(), rows["etag"].to_pylist(), strict=True))[gone[0]]
        what = f"An object of {sample_id} has changed since it was scored: its etag was {was}"
        cure = "Its numbers cannot be had again: index the archive, and score the index into a new --out."
        raise OutputError(f"{what} and is {changed[gone[0]]}.", cure)
    decode = DecodeSettings(**(stored.setup or manifest)["decode"])
    prepared = prepare_inputs(rows, key, plan.inputs, decode)
    found = prepared[0].select(["sample_id", "status"]).to_pylist()
    places = {sample["sample_id"]: place for place, sample in enumerate(found)}
    place = places.get(sample_id, places.get(own, 0))
    usable = {
        name for name, k in places.items() if found[k]["status"] == "ok" and name.partition(":")[0] not in changed
    }
    absent = sum(name not in usable for name in stored.batch if name != sample_id)
    remarks = []
    if absent:
        remarks.append(
            f"{absent} of the {len(stored.batch) - 1} samples beside it have changed or are gone; it stands in for them"
        )
    order = [places[name] if name in usable else place for name in stored.batch]
    return Inputs([samples.take(order) for samples in prepared], rows, stored.batch.index(sample_id), remarks)


def _scored_again(stored: StoredRow, inputs: Inputs, plan: ScoringPlan) -> dict[str, Any]:
    """The row as it comes out now."""
    wanted = "cpu" if stored.setup is None else stored.setup["device"]
    device = wanted if wanted == "cpu" or torch.cuda.is_available() else "cpu"
    size = 1 if stored.setup is None else stored.setup["batch_size"]
    chances = stored.row["probabilities"] is not None
    settings = ScoreSettings("", "", "", batch_size=size, probabilities=chances)
    with _one_thread():
        models = WarmModels(plan, settings, device)
        [(_, table)] = models.answer(inputs.samples, inputs.rows, stored.row["unit_id"])
    [row] = table.slice(inputs.place, 1).to_pylist()
    return dict(row)


@contextmanager
def _one_thread() -> Iterator[None]:
    """As model actors do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _bits(value: Any) -> Any:
    """What two values must share to be the same: of floats every bit, so that NaN is itself and 0 is not -0."""
    if isinstance(value, list) and value and isinstance(value[0], float):
        return np.array(value).tobytes()
    return value


def _why(stored: StoredRow) -> list[str]:
    """What differs between then and now."""
    found = []
    if stored.row["code"] != code_version():
        found.append(f"code: {stored.row['code']} then, {code_version()} now")
    if stored.setup is not None:
        device = "cuda" if stored.setup["device"] == "cuda" and torch.cuda.is_available() else "cpu"
        found += differences(
            stored.setup, setup_of(stored.setup["batch_size"], device, DecodeSettings(**stored.setup["decode"]))
        )
    return found
