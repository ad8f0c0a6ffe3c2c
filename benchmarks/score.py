"""Images a second of `medray score`, whole, beside its bare kernels, a torch DataLoader, MONAI and plain Ray Data.

    MEDRAY_DATA=… python -m benchmarks.score [resnet18 cnn gatedgcn] [--frames 20000]

60 % CT 512 x 512 native, 38 % PNG 224 x 224, 2 % radiographs 1760 x 1760 of JPEG lossless, real ones again and again;
input 128 x 128. Each rate is that of the later frames: the time of a long run less that of a short one, so that starts
of processes and imports count nowhere; `end_to_end` holds them.

kernels      read, decode, prepare, graph, forward and rows in one bare process; `all` is one a core at the same time
dataloader   the same functions in a torch DataLoader's workers, forward in its process (best of threads, batches)
monai        MONAI's Dataset, transforms and DataLoader; PydicomReader and PILReader
ray_data     read_binary_files, map_batches with pydicom and Pillow, map_batches with the model on actors, write_parquet
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.drawn_bundle import drawn_bundle
from benchmarks.generated_index import repeat_index
from benchmarks.results_writer import kept_result, write_result
from benchmarks.road import ROOT, data_folder, medray, real_archive, work_folder
from medray import tables
from medray.settings import Recipe

SIDE = 128
SHARES = {"CT": 0.60, "": 0.38, "CR": 0.02}
PEERS = ("kernels", "kernels_all", "dataloader", "monai", "ray_data")
SHARE_OF = {"kernels": 0.2, "kernels_all": 0.2, "dataloader": 0.3, "monai": 0.15, "ray_data": 0.3}
"""Of the frames: enough to be steady."""
SHORT = 0.25  # of a run: what is taken off


def lay_out(folder: Path) -> Path:
    """The archive of real images that are repeated; its folder."""
    archive = folder / "archive"
    if not archive.exists():
        (archive / "png").mkdir(parents=True)
        for number, path in enumerate(sorted(real_archive("busi", folder / "archives").rglob("*.png"))):
            Image.open(path).convert("L").resize((224, 224)).save(archive / "png" / f"{number:04d}.png")
        for name in ("REF/CT1_UNC", "JPLL/RG3_JPLL"):
            (archive / Path(name).name).write_bytes((data_folder() / "wg04" / name).read_bytes())
    return archive


def lay_out_road(work: Path) -> None:
    """The archive, its index, and a bundle of the small CNN."""
    medray("index", archive=lay_out(work), out=work / "index")
    drawn_bundle(work / "bundles" / "cnn", "cnn", Recipe(size=SIDE))


def marginal(seconds: dict[int, float]) -> float:
    """Images a second between a short and a long run."""
    (few, short), (many, long) = sorted(seconds.items())
    return (many - few) / (long - short)


def peer_rate(name: str, index: Path, bundle: Path, frames: int) -> float:
    """A peer in processes of its own (as many as cores for `kernels_all`), by frames in a long and in a short run."""
    kind, copies = ("kernels", os.cpu_count() or 1) if name == "kernels_all" else (name, 1)
    command = [sys.executable, "-m", "benchmarks.score_peers", kind, str(index), str(bundle), str(frames)]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(copies)]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit(f"{name} failed")
    return sum(float(json.loads(text.splitlines()[-1])["images_per_s"]) for text in said)


def medray_rates(work: Path, bundle: Path, counts: tuple[int, int]) -> dict[str, float]:
    """`medray score` as a user types it, on the short index and the long one."""
    seconds = {}
    for count in counts:
        out = bundle.parent / f"predictions-{count}"
        seconds[count] = medray("score", source=work / f"index-{count}", bundle=bundle, out=out)
        if tables.read_manifest(str(out))["funnel"]["status"] != {"ok": count}:
            sys.exit("not every frame was scored")
    return {"images_per_s": marginal(seconds), "end_to_end_images_per_s": counts[1] / seconds[counts[1]]}


def compare(name: str, work: Path, frames: int) -> dict[str, Any]:
    """One model: every rate, and the ratios."""
    counts = int(frames * SHORT), frames
    bundle = work / f"bundles-{time.time_ns()}" / name
    drawn_bundle(bundle, name, Recipe(size=SIDE))
    index = work / f"index-{frames}"
    rates = {peer: peer_rate(peer, index, bundle, int(SHARE_OF[peer] * frames)) for peer in PEERS}
    found: dict[str, Any] = {"frames": frames, **medray_rates(work, bundle, counts), "peers_images_per_s": rates}
    found["kernel_ms"] = 1000 / rates["kernels"]
    found["ratio_to_kernels"] = found["images_per_s"] / (rates["kernels"] * (os.cpu_count() or 1))
    found["ratio_to_kernels_on_all_cores"] = found["images_per_s"] / rates["kernels_all"]
    for key, peer in {"dataloader_loop": "dataloader", "monai": "monai", "plain_ray_data": "ray_data"}.items():
        found[f"ratio_to_{key}"] = found["images_per_s"] / rates[peer]
    print(name, json.dumps({key: round(value, 3) for key, value in found.items() if key != "peers_images_per_s"}))
    print(name, json.dumps({peer: round(rate, 1) for peer, rate in rates.items()}), flush=True)
    return found


def main() -> None:
    """Compare the models that were asked for; the others keep their figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=["resnet18", "cnn", "gatedgcn"])
    parser.add_argument("--frames", type=int, default=20_000)
    asked = parser.parse_args()
    work = work_folder("score")
    archive = lay_out(work)
    if not (work / "index").exists():
        medray("index", archive=archive, out=work / "index")
    for count in (int(asked.frames * SHORT), asked.frames):
        if not (work / f"index-{count}").exists():
            repeat_index(work / "index", work / f"index-{count}", count, SHARES)
    figures = {"shares": {"ct": 0.60, "png": 0.38, "radiograph": 0.02}, "side": SIDE}
    for name in asked.models:
        found = compare(name, work, asked.frames)
        write_result("score", kept_result("score") | figures | {name: found})


if __name__ == "__main__":
    main()
