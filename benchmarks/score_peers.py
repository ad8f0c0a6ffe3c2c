"""The peers of benchmarks/score.py, each in a process of its own.

`python -m benchmarks.score_peers NAME INDEX BUNDLE N`: the last line is one JSON object with the images a second of the
later three quarters of N frames. Every peer writes its probabilities to Parquet.
"""

import importlib
import io
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from medray import tables
from medray.allocator import keep_freed_memory
from medray.archive.identity import load_key, unseal
from medray.samples.collate import collate
from medray.samples.prepare import images_of
from medray.samples.tables import to_graphs
from medray.samples.units import cut_units
from medray.scoring.table import score_samples
from medray.settings import RaySettings, ScoreSettings
from medray.training.bundle import Bundle, load_bundle

WORKERS, BATCH, SHORT = 2, 64, 0.25


def rows_of(index: str, frames: int) -> pa.Table:
    """The first frames of an index."""
    return tables.read_table(index).slice(0, frames)


class Work:
    """What every peer needs: rows, model, key."""

    def __init__(self, index: str, bundle: str, frames: int) -> None:
        torch.set_num_threads(1)
        self.key, self.rows = load_key(None), rows_of(index, frames)
        self.bundle: Bundle = load_bundle(bundle)
        self.settings = ScoreSettings(index, "", bundle)
        self.out = Path(tempfile.mkdtemp(prefix="medray-peer-"))

    def model(self) -> torch.nn.Module:
        """On the CPU, in evaluation mode."""
        return self.bundle.build_model().eval()

    def prepared(self, rows: pa.Table) -> pa.Table:
        """Samples of a unit, by medray's functions in this process."""
        samples, kind = images_of(rows, self.key, self.bundle.recipe), self.bundle.input_kind
        return samples if kind == "image" else to_graphs(samples, self.bundle.recipe, kind)

    def probabilities(self, model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
        """Of images (batch, 1, rows, columns) that somebody else prepared; graphs are made here."""
        flat = pa.LargeListArray.from_arrays(np.arange(len(images) + 1) * images[0].size, images.ravel())
        ids = pa.array([str(number) for number in range(len(images))])
        samples = pa.table({"sample_id": ids, "status": pa.array(["ok"] * len(images)), "image": flat})
        kind, recipe = self.bundle.input_kind, self.bundle.recipe
        batch = collate(samples if kind == "image" else to_graphs(samples, recipe, kind), recipe)
        with torch.inference_mode():
            found: np.ndarray = torch.softmax(model(**batch.inputs), 1).numpy()
        return found

    def write(self, number: int, probabilities: np.ndarray) -> None:
        """A file of probabilities."""
        pq.write_table(pa.table({"probabilities": list(probabilities)}), self.out / f"{number}.parquet")


def later_rate(counts: Iterable[int], total: int) -> float:
    """Frames a second of the later three quarters."""
    seen, first, started = 0, None, 0.0
    for count in counts:
        seen += count
        if first is None and seen >= SHORT * total:
            first, started = seen, time.perf_counter()
    return (seen - (first or 0)) / (time.perf_counter() - started)


def kernels(work: Work) -> float:
    """Everything in this process, unit by unit."""
    keep_freed_memory()
    model = work.model()

    def counts() -> Iterator[int]:
        for unit in cut_units(work.rows, RaySettings().unit_bytes):
            answer = score_samples(
                [work.prepared(unit.rows)], unit.rows, work.bundle, model, unit_id=unit.unit_id, settings=work.settings
            )
            pq.write_table(answer, work.out / f"{unit.unit_id}.parquet", compression="zstd")
            yield answer.num_rows

    return later_rate(counts(), work.rows.num_rows)


class Units(IterableDataset[Any]):
    """Collated batches of units, each worker's own."""

    def __init__(self, work: Work, batch: int) -> None:
        super().__init__()
        self.work, self.batch = work, batch

    def __iter__(self) -> Iterator[Any]:
        """Inputs of a batch."""
        torch.set_num_threads(1)
        info, work = get_worker_info(), self.work
        units = list(cut_units(work.rows, RaySettings().unit_bytes))
        for unit in units[info.id :: info.num_workers] if info else units:
            samples = work.prepared(unit.rows)
            for start in range(0, samples.num_rows, self.batch):
                yield collate(samples.slice(start, self.batch), work.bundle.recipe).inputs


def dataloader(work: Work) -> float:
    """medray's functions in a DataLoader's workers, the model in this process: the best of threads and batches."""
    return max(_dataloader(work, threads, batch) for threads, batch in ((1, 16), (2, 16), (2, BATCH)))


def _dataloader(work: Work, threads: int, batch: int) -> float:
    torch.set_num_threads(threads)
    model = work.model()

    def counts() -> Iterator[int]:
        loader = DataLoader(Units(work, batch), batch_size=None, num_workers=WORKERS)
        for number, inputs in enumerate(loader):
            with torch.inference_mode():
                found = torch.softmax(model(**inputs), 1).numpy()
            work.write(number, found)
            yield len(found)

    return later_rate(counts(), work.rows.num_rows)


def paths_of(work: Work) -> list[str]:
    """The files of the rows, in their order."""
    return [unseal(work.key, uri) for uri in work.rows["uri"].to_pylist()]


def monai(work: Work) -> float:
    """MONAI's transforms; PNG by Pillow, everything else by pydicom."""
    data, transforms = (importlib.import_module(f"monai.{name}") for name in ("data", "transforms"))

    side = work.bundle.recipe.size
    readers = {name: transforms.LoadImage(reader=name, image_only=True) for name in ("PydicomReader", "PILReader")}

    def load(path: str) -> Any:
        image = readers["PILReader" if path.endswith(".png") else "PydicomReader"](path)
        return image.squeeze(-1) if image.ndim > 2 else image

    first, size = transforms.EnsureChannelFirst(channel_dim="no_channel"), transforms.Resize((side, side))
    steps = transforms.Compose([load, first, size, transforms.NormalizeIntensity()])
    dataset = data.Dataset(paths_of(work), steps)
    model = work.model()

    def counts() -> Iterator[int]:
        for number, images in enumerate(data.DataLoader(dataset, batch_size=BATCH, num_workers=WORKERS)):
            work.write(number, work.probabilities(model, images.as_tensor().numpy().astype(np.float32)))
            yield len(images)

    return later_rate(counts(), work.rows.num_rows)


def decoded(batch: dict[str, Any], side: int) -> dict[str, Any]:
    """As Ray Data's documentation decodes images in `map_batches`: Pillow, and pydicom for DICOM."""
    from PIL import Image
    from pydicom import dcmread
    from torch.nn.functional import interpolate

    images = []
    for content in batch["bytes"]:
        png = content[:4] == b"\x89PNG"
        pixels = np.asarray(Image.open(io.BytesIO(content))) if png else dcmread(io.BytesIO(content)).pixel_array
        tensor = torch.from_numpy(pixels.astype(np.float32))[None, None]
        small = interpolate(tensor, (side, side), mode="bilinear", antialias=True)[0].numpy()
        images.append((small - small.mean()) / (small.std() + 1e-6))
    return {"image": np.stack(images)}


class Predictor:
    """The model on an actor."""

    def __init__(self, index: str, bundle: str) -> None:
        self.work = Work(index, bundle, 0)
        self.model = self.work.model()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Probabilities."""
        return {"probabilities": self.work.probabilities(self.model, np.ascontiguousarray(batch["image"]))}


def ray_data(work: Work) -> float:
    """`read_binary_files → map_batches → map_batches → write_parquet`, on a warm cluster."""
    import ray.data

    from medray.pipelines.cluster import cluster

    seconds: dict[int, float] = {}
    paths = paths_of(work)
    with cluster(RaySettings()):
        ray.data.DataContext.get_current().target_max_block_size = 128 * 2**20
        for count in (int(SHORT * len(paths)), len(paths)):
            started = time.perf_counter()
            dataset = ray.data.read_binary_files(paths[:count])
            decode: Any = partial(decoded, side=work.bundle.recipe.size)
            images = dataset.map_batches(decode, batch_size=BATCH)
            answers = images.map_batches(
                Predictor,
                fn_constructor_args=(work.settings.source, work.settings.bundle),
                batch_size=BATCH,
                compute=ray.data.ActorPoolStrategy(size=WORKERS),
                num_cpus=1 / WORKERS,
            )
            answers.write_parquet(str(work.out / str(count)))
            seconds[count] = time.perf_counter() - started
    (few, short), (many, long) = sorted(seconds.items())
    return (many - few) / (long - short)


def main() -> None:
    """Run the peer that is named."""
    name, index, bundle, frames = sys.argv[1:]
    work = Work(index, bundle, int(frames))
    call = {"kernels": kernels, "dataloader": dataloader, "monai": monai, "ray_data": ray_data}[name]
    try:
        print(json.dumps({"images_per_s": call(work)}), flush=True)
    finally:
        shutil.rmtree(work.out, ignore_errors=True)


if __name__ == "__main__":
    main()
