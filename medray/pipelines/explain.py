"""The second pass of `medray score`: chosen samples of finished predictions → warm model actors → explanations."""

from functools import partial
from typing import Any

import pyarrow as pa
import torch

from medray import __version__, storage, tables
from medray.allocator import keep_freed_memory
from medray.errors import SettingsError
from medray.pipelines.cluster import cluster, cpus, gpus
from medray.pipelines.funnel import Funnel
from medray.pipelines.progress import progress, say
from medray.pipelines.units import WithoutText, ledger_row, on_actors, planned_units, unit_of
from medray.pipelines.verify import to_score, verify_explanations
from medray.pipelines.watch import FIRST, Tries, UnitWatch, Watched, is_taken_apart
from medray.pipelines.watchdog import watched_ledger
from medray.samples.clock import stage, unit_clock
from medray.samples.guarded import OfSamples, apart
from medray.samples.inputs import ModelInput, input_of
from medray.samples.isolated import isolated_images_of, prepare_unit, start_decoding_process
from medray.samples.units import cut_units
from medray.schema import EXPLANATIONS
from medray.scoring.choice import TO_CHOOSE, choose_explained, rows_to_explain
from medray.scoring.explanations import chosen_samples, explain_samples
from medray.settings import ScoreSettings
from medray.training.bundle import Bundle, load_bundle


class Explainer:
    """A warm actor: loads the model once, explains the chosen samples of a unit a call, writes its part in one PUT."""

    def __init__(self, settings: ScoreSettings, key: bytes) -> None:
        torch.set_num_threads(1)
        keep_freed_memory()
        start_decoding_process()
        self.settings, self.key = settings, key
        self.bundle = load_bundle(*settings.bundles)
        self.model = self.bundle.build_model().to("cuda" if settings.use_gpu else "cpu")

    @WithoutText()
    @unit_clock("explain")
    def __call__(self, block: pa.Table, tries: Tries = FIRST) -> pa.Table:
        """Explain the unit that a row names; its ledger row."""
        unit = unit_of(block)
        part = tables.part_uri(explanations_of(self.settings.out), unit.unit_id)
        if tries.maybe_finished and storage.exists(part):
            return ledger_row(unit.unit_id, storage.read_parquet(part, ["status", "reason"]))
        taken_apart = is_taken_apart(tries.died, self.settings.ray)
        explained = (self._apart if taken_apart else self._explained)(unit.rows(), unit.unit_id)
        with stage("write"):
            storage.write_parquet(part, explained)
        return ledger_row(unit.unit_id, explained)

    def _explained(self, rows: pa.Table, unit_id: str) -> pa.Table:
        recipe, kind, method = self.bundle.recipe, self.bundle.input_kind, self.settings.explain_method
        samples = prepare_unit(rows, self.key, recipe, kind, decode=self.settings.decode)
        with stage("forward"):
            chosen = chosen_samples(samples, rows)
            return explain_samples(chosen, rows, self.bundle, self.model, method=method, unit_id=unit_id)

    def _apart(self, rows: pa.Table, unit_id: str) -> pa.Table:
        """The same, but nothing that could end a process happens in this one."""
        wanted = ModelInput(self.bundle.recipe, self.bundle.input_kind)
        images = isolated_images_of(rows, self.key, wanted.image_recipe, self.settings.decode)
        load = partial(_explaining, self.settings, wanted, rows, unit_id)
        with stage("forward"):
            return apart(chosen_samples(images, rows), load, 1, self.settings.ray.stalled_s)


def _explaining(settings: ScoreSettings, wanted: ModelInput, rows: pa.Table, unit_id: str) -> OfSamples:
    """Chosen images to their rows, for a process of its own."""
    torch.set_num_threads(1)
    bundle, method = load_bundle(*settings.bundles), settings.explain_method
    model = bundle.build_model().to("cuda" if settings.use_gpu else "cpu")
    return lambda images: explain_samples(input_of(images, wanted), rows, bundle, model, method=method, unit_id=unit_id)


def explanations_of(predictions: str) -> str:
    """Where the explanations of predictions lie."""
    return storage.join(predictions, tables.EXPLANATIONS)


def check_explanations(settings: ScoreSettings, bundle: Bundle) -> bool:
    """A look, before any work: whether there is nothing to explain, because it is done or nobody asks for it.

    Raises:
        SettingsError: `explain_top` chooses nothing, or the bundle segments.
        OutputError: the predictions have explanations of other settings.
    """
    if settings.explain_top < 1:
        raise SettingsError(f"--explain_top is {settings.explain_top}, and must be 1 or more.")
    if settings.explain == "off":
        return True
    if bundle.task != "classify":
        raise SettingsError("--explain is of classes of images; this bundle segments.", "Its masks say where.")
    return tables.is_finished(explanations_of(settings.out), _run(settings, bundle.model_id))


def _run(settings: ScoreSettings, model_id: str) -> dict[str, Any]:
    return {
        "job": "explain",
        "explain": settings.explain,
        "explain_top": settings.explain_top if settings.explain == "top" else None,
        "explain_method": settings.explain_method,
        "model_id": model_id,
        "medray": __version__,
    }


def explain_predictions(settings: ScoreSettings, key: bytes) -> dict[str, Any]:
    """Explain the chosen samples of finished predictions, or go on where an earlier run stopped; the manifest.

    Args:
        settings: of the scoring.
        key: unseals the objects' names.

    Raises:
        OutputError: there are explanations of other settings, or the choice is not what was explained.
    """
    predictions, out = tables.read_manifest(settings.out), explanations_of(settings.out)
    run = _run(settings, predictions["model_id"])
    tables.claim(out, run)
    scored = tables.read_table(settings.out, TO_CHOOSE)
    chosen = choose_explained(scored, run["explain"], settings.explain_top, predictions["classes"])

    def cut() -> Any:
        return cut_units(rows_to_explain(to_score(predictions["source"]), chosen), settings.ray.unit_bytes)

    units = planned_units(out, cut)
    done = tables.finished_parts(out)
    todo = [unit for unit in units if unit.unit_id not in done]
    if todo:
        with cluster(settings.ray):
            actors = settings.actors or (gpus() if settings.use_gpu else cpus())
            watch = UnitWatch(settings.ray, settings.decode.frame_seconds)
            worker, ray_settings = (watch, Explainer, (settings, key)), watch.for_ray(len(todo))
            dataset = on_actors(todo, Watched, worker, actors=actors, settings=ray_settings, gpu=settings.use_gpu)
            for _ in progress(watched_ledger(dataset, "explain", watch), total=len(todo), what="explain"):
                pass
    counts = Funnel()
    parts = counts.counted(tables.iter_parts(out, [unit.unit_id for unit in units]))
    facts = {**run, "units": len(units), "units_this_run": len(todo)}
    manifest = tables.finish(
        out, "explanations", parts, schema=EXPLANATIONS, facts=lambda: {**facts, "funnel": counts.facts()}
    )
    explained = verify_explanations(settings.out)
    say(f"score: {explained:,} of {scored.num_rows:,} samples explained ({settings.explain_method}) in {out}")
    return manifest
