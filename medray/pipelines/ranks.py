"""One training run on Ray Train V2: what every rank does, in this process (`num_workers` 0) or in workers (DDP)."""

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
import ray.train
import torch
from ray.train.torch import TorchTrainer, get_device, prepare_model

from medray import storage
from medray.allocator import keep_freed_memory
from medray.models.catalog import build_model, model_family
from medray.pipelines.cache import cached_dataset
from medray.pipelines.cluster import cpus
from medray.pipelines.progress import say
from medray.pipelines.stream import ShardStream
from medray.pipelines.units import WithoutText, stage_error
from medray.samples.batch import Batch
from medray.samples.tables import to_graphs
from medray.schema import HISTORY
from medray.settings import TrainSettings
from medray.training.bundle import Bundle, library_versions, save_bundle
from medray.training.checkpoint import load_checkpoint, save_checkpoint
from medray.training.fit import EpochReport, TrainingData, TrainState, evaluate, figures, fit, start_training, unwrapped
from medray.training.model_inputs import model_inputs
from medray.training.seeding import seed_everything
from medray.training.task import TASKS, Task, inverse_frequency

HELD_BYTES = 2**30


@dataclass(frozen=True)
class SeedRun:
    """All that a rank needs to know.

    Attributes:
        settings: of the job.
        seed: of this run.
        classes: in the order of the logits.
        split_hash: of the split, for the bundle.
        cache: the prepared samples.
        counts: samples on each side of the split, and of each class on the training side.
    """

    settings: TrainSettings
    seed: int
    classes: tuple[str, ...]
    split_hash: str
    cache: str
    counts: dict[str, Any]

    @property
    def sides(self) -> list[str]:
        """The sides of the split that have samples, training first."""
        return ["train", *(side for side in ("validation", "test") if self.counts.get(side))]

    @property
    def builds_graphs(self) -> bool:
        """Whether ranks make region graphs of cached images: each epoch's graphs are new where training augments."""
        return self.settings.augment.is_on and model_family(self.settings.model).input_kind != "image"

    @property
    def out(self) -> str:
        """Folder of this seed."""
        return storage.join(self.settings.out, f"seed-{self.seed}")


def train_seed(run: SeedRun) -> dict[str, Any]:
    """Train one seed, or take its finished result: bundle, history and metrics."""
    result = storage.join(run.out, "result.json")
    if not storage.exists(result):
        _fit(run)
    found: dict[str, Any] = storage.read_json(result)
    return found


def _fit(run: SeedRun) -> None:
    settings = run.settings
    scratch = storage.join(run.out, "_ray")
    filesystem, path = storage.arrow_filesystem(scratch)
    trainer = TorchTrainer(
        rank_loop,
        train_loop_config={"run": run},
        scaling_config=ray.train.ScalingConfig(
            num_workers=settings.num_workers,
            use_gpu=settings.use_gpu,
            resources_per_worker={"CPU": _worker_cpus(settings), **({"GPU": 1} if settings.use_gpu else {})},
        ),
        datasets={side: cached_dataset(run.cache, side, settings.ray) for side in run.sides},
        dataset_config=ray.train.DataConfig(datasets_to_split=["train"]),
        run_config=ray.train.RunConfig(
            name=f"medray-{uuid.uuid4().hex[:8]}",
            storage_path=path,
            storage_filesystem=None if storage.is_local(scratch) else filesystem,
            failure_config=ray.train.FailureConfig(max_failures=settings.ray.max_retries),
        ),
    )
    try:
        trainer.fit()
    except ray.train.base_trainer.TrainingFailedError as error:
        raise stage_error(error, "train") from None
    finally:
        storage.delete(scratch)


def _worker_cpus(settings: TrainSettings) -> float:
    """A CPU for each worker where that leaves one for the data, else an equal share of all but one."""
    workers = max(1, settings.num_workers)
    return 1.0 if cpus() > workers else max(0.1, (cpus() - 1) / workers)


@WithoutText()
def rank_loop(config: dict[str, Any]) -> None:
    """What each rank runs. All ranks train and evaluate; rank 0 writes."""
    run: SeedRun = config["run"]
    keep_freed_memory()
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    device = get_device() if run.settings.use_gpu else torch.device("cpu")
    threads = torch.get_num_threads()
    state, task = _start(run, world, rank, device)
    shards = {side: ray.train.get_dataset_shard(side) for side in run.sides}  # a barrier: every rank, every side
    data = _data(run, shards, device)
    rows: list[dict[str, Any]] = _earlier_rows(run, state)

    clock = _Clock()

    def on_epoch(report: EpochReport) -> None:
        rows.append(_history_row(run, report, task, clock.lap_s()))
        if rank == 0:
            storage.write_parquet(_history_uri(run), pa.Table.from_pylist(rows, schema=HISTORY))
            save_checkpoint(storage.join(run.out, "checkpoints"), state.state_dict())
            _say_epoch(run, rows[-1])
        ray.train.report({name: value for name, value in rows[-1].items() if value is not None})

    fit(state, task, data, run.settings.optimizer, device=device, on_epoch=on_epoch)
    if rank == 0:
        _write_result(run, state, task, shards)
    torch.set_num_threads(threads)


def _start(run: SeedRun, world: int, rank: int, device: torch.device) -> tuple[TrainState, Task]:
    optimizer = run.settings.optimizer
    seed_everything(run.seed)
    model: torch.nn.Module = build_model(run.settings.model, num_classes=len(run.classes), **model_inputs(run.settings))
    model = prepare_model(model) if world > 1 else model.to(device)
    steps = -(-(run.counts["train"] // world) // optimizer.batch_size)
    state = start_training(model, optimizer, steps, seed=run.seed, rank=rank)
    earlier = load_checkpoint(storage.join(run.out, "checkpoints"))
    if earlier is not None:
        state.load_state_dict(earlier)
        say(f"train: seed {run.seed} goes on after epoch {state.epoch}")
    weights = inverse_frequency(run.counts["train_classes"]) if optimizer.class_weights else None
    return state, TASKS[run.settings.task](run.classes, class_weights=weights)


def _blocks(shard: Any) -> Iterator[pa.Table]:
    for block in shard.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
        if block.num_rows:
            yield block


def _stream(run: SeedRun, blocks: Callable[[], Iterable[pa.Table]]) -> ShardStream:
    return ShardStream(blocks, run.settings.recipe, seed=run.seed, held_bytes=HELD_BYTES)


def _evaluated(run: SeedRun, shard: Any) -> ShardStream:
    """A side as the model scores it: never augmented. Where training augments, a cache for graphs holds images."""
    if not run.builds_graphs:
        return _stream(run, lambda: _blocks(shard))
    kind, classes = model_family(run.settings.model).input_kind, len(run.classes)
    return _stream(run, lambda: (to_graphs(block, run.settings.recipe, kind, classes) for block in _blocks(shard)))


def _augmented(run: SeedRun, batches: Iterable[Batch], epoch: int, device: torch.device) -> Iterator[Batch]:
    """Training batches, each sample changed as its id, the epoch and the seed say; all of its frames alike."""
    from medray.samples.device_graphs import has_device_path  # these load compiled kernels
    from medray.training import augment

    kind = model_family(run.settings.model).input_kind
    there = device.type == "cuda" and has_device_path(run.settings.recipe)
    graphs = augment.augment_graphs_on if there else augment.augment_graphs
    for batch in batches:
        drawn = augment.draw_batch(run.settings.augment, run.seed, epoch, augment.samples_of_images(batch))
        if run.builds_graphs:
            given = batch.to(device) if there else batch
            yield graphs(given, drawn, run.settings.recipe, kind, classes=len(run.classes))
        else:
            yield augment.augment_batch(batch.to(device), drawn)


def _data(run: SeedRun, shards: dict[str, Any], device: torch.device) -> TrainingData:
    batch_size = run.settings.optimizer.batch_size
    training = _stream(run, lambda: _blocks(shards["train"]))
    validation = _evaluated(run, shards["validation" if run.counts.get("validation") else "train"])

    def train(epoch: int) -> Iterator[Batch]:
        batches = training.train(epoch, batch_size)
        return _augmented(run, batches, epoch, device) if run.settings.augment.is_on else batches

    return TrainingData(train, lambda: validation.ordered(batch_size))


def _history_uri(run: SeedRun) -> str:
    return storage.join(run.out, "history.parquet")


def _earlier_rows(run: SeedRun, state: TrainState) -> list[dict[str, Any]]:
    if not state.epoch:
        return []
    rows: list[dict[str, Any]] = storage.read_parquet(_history_uri(run)).to_pylist()
    return rows[: state.epoch]


class _Clock:
    """Wall time between two laps."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def lap_s(self) -> float:
        now, last = time.monotonic(), self.last
        self.last = now
        return now - last


def _history_row(run: SeedRun, report: EpochReport, task: Task, seconds: float) -> dict[str, Any]:
    found = figures(report.validation, task)
    return {
        "seed": run.seed,
        "epoch": report.epoch,
        "train_loss": report.train_loss,
        "validation_loss": found["loss"],
        "validation_auroc": found["auroc"],
        "validation_accuracy": found["accuracy"],
        "validation_dice": found.get("dice"),
        "learning_rate": report.learning_rate,
        "seconds": seconds,
    }


def _say_epoch(run: SeedRun, row: dict[str, Any]) -> None:
    dice = "" if row["validation_dice"] is None else f"Dice {row['validation_dice']:.4f} "
    say(
        f"train: seed {run.seed} epoch {row['epoch'] + 1}/{run.settings.optimizer.epochs} loss {row['train_loss']:.4f} "
        f"validation loss {row['validation_loss']:.4f} AUROC {row['validation_auroc']:.4f} "
        f"{dice}({row['seconds']:.1f} s)"
    )


def _write_result(run: SeedRun, state: TrainState, task: Task, shards: dict[str, Any]) -> None:
    """Threshold from the validation side, figures from the test side, bundle; the result last."""
    model, recipe = unwrapped(state.model), run.settings.recipe
    batch_size = run.settings.optimizer.batch_size
    device = next(model.parameters()).device
    metrics: dict[str, float] = {}
    for side in run.sides[1:]:
        answers = evaluate(model, _evaluated(run, shards[side]).ordered(batch_size), task, device=device)
        if side == "validation":
            task = task.calibrated(answers.logits, answers.labels)
        metrics |= {f"{side}_{name}": value for name, value in figures(answers, task).items()}
    bundle = Bundle(
        model_name=run.settings.model,
        input_kind=model_family(run.settings.model).input_kind,
        **model_inputs(run.settings),
        classes=run.classes,
        recipe=recipe,
        seed=run.seed,
        threshold=task.threshold,
        split_hash=run.split_hash,
        metrics=metrics,
        versions=library_versions(ray=ray.__version__),
    )
    uri = storage.join(run.settings.out, "bundles", f"seed-{run.seed}")
    save_bundle(uri, bundle, model)
    result = {"seed": run.seed, "bundle": uri, "history": _history_uri(run), "metrics": metrics}
    storage.write_json(storage.join(run.out, "result.json"), result)
