"""Image to region graph: speed beside the libraries of the field, and how well regions keep to true borders.

    uv venv peers
    uv pip install --python peers "cython<3" "setuptools<81" numpy opencv-contrib-python-headless
    uv pip install --python peers --no-build-isolation fast-slic
    MEDRAY_PEERS=peers/lib/python3.11/site-packages MEDRAY_DATA=folder python benchmarks/superpixels.py

Whole graphs against whole graphs: scikit-image's slic(sigma=1), rag_mean_color and regionprops_table with what our
features need. torch_geometric's ToSLIC gives means and centroids without edges, and stands against our whole graph all
the same. Labels against labels: OpenCV's SLIC and fast-slic (AVX2), both with connected regions; each library runs its
default of 10 sweeps, medray 5. Times are CPU time on one thread, the least of several calls, all in turns in one
process. A peer that is not there is null. `two_threads`: builds a second of two threads over those of one, wall time;
null where the machine has other work.
"""

import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_writer import write_result
from benchmarks.superpixel_quality import compared, drive, isbi_em, peer_labels, phantoms
from medray.graphs.build import build_region_graph, superpixel_labels
from medray.image_settings import GraphRecipe
from tests.graphs.ellipses import ellipses

SIZES = ((512, 400), (224, 196), (28, 81))
REAL = (400, 1600)
TURNS, SLOW_TURNS = 12, 3
BURST, SLOW_S = 6, 0.1
RUN_S = 0.2
BUSY = 0.5
"""Load average from which on two cores are not there to be measured."""
PROPERTIES = (
    "area", "centroid", "intensity_mean", "intensity_std", "intensity_min", "intensity_max", "perimeter",
    "axis_major_length", "axis_minor_length",
)  # fmt: skip

Call = Callable[[], Any]


def skimage_route(image: np.ndarray, regions: int) -> Call:
    """Superpixels, adjacency and statistics by scikit-image."""
    import skimage.graph
    import skimage.measure

    def call() -> None:
        labels = peer_labels(image, regions)
        skimage.graph.rag_mean_color(np.repeat(image[:, :, None], 3, axis=2), labels)
        skimage.measure.regionprops_table(labels + 1, image, properties=PROPERTIES)

    return call


def pyg_toslic(image: np.ndarray, regions: int) -> Call:
    """torch_geometric's transform, which calls scikit-image."""
    import torch
    from torch_geometric.transforms import ToSLIC

    torch.set_num_threads(1)
    transform, tensor = ToSLIC(n_segments=regions, compactness=0.1, sigma=1), torch.from_numpy(image[None].copy())
    return lambda: transform(tensor)


def _bytes(image: np.ndarray) -> np.ndarray:
    """0 … 255, three channels: what the 8-bit libraries read."""
    scaled = np.rint(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)


def opencv_slic(image: np.ndarray, regions: int) -> Call:
    """OpenCV's SLIC on one channel, pieces of less than a quarter of a region joined."""
    import cv2

    cv2.setNumThreads(1)
    plane, side = np.ascontiguousarray(_bytes(image)[:, :, 0]), round((image.size / regions) ** 0.5)

    def call() -> np.ndarray:
        superpixels = cv2.ximgproc.createSuperpixelSLIC(plane, cv2.ximgproc.SLIC, side, 25.5)
        superpixels.iterate(10)
        superpixels.enforceLabelConnectivity(25)
        labels: np.ndarray = superpixels.getLabels()
        return labels

    return call


def fast_slic(image: np.ndarray, regions: int) -> Call:
    """fast-slic with AVX2 on one thread."""
    from fast_slic.avx2 import SlicAvx2

    picture = _bytes(image)
    return lambda: SlicAvx2(num_components=regions, compactness=25.5, num_threads=1).iterate(picture)


PEERS: dict[str, Callable[[np.ndarray, int], Call]] = {
    "skimage_route": skimage_route,
    "pyg_toslic": pyg_toslic,
    "opencv_slic": opencv_slic,
    "fast_slic": fast_slic,
    "skimage_slic": lambda image, regions: lambda: peer_labels(image, regions),
}
AGAINST_LABELS = ("opencv_slic", "fast_slic", "skimage_slic")


def least_ms(calls: dict[str, Call]) -> dict[str, float]:
    """Least CPU time of each call in milliseconds: bursts of calls in turns, the first of each burst not counted."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS):
        for name, call in calls.items():
            if turn >= SLOW_TURNS and min(times[name]) > SLOW_S:
                continue
            for repeat in range(BURST if turn and min(times[name]) < SLOW_S else 2):
                start = time.process_time()
                call()
                if repeat:
                    times[name].append(time.process_time() - start)
    return {name: 1000 * min(found) for name, found in times.items()}


def speed(size: int, regions: int) -> dict[str, float | None]:
    """Milliseconds of ours and of each peer, and the ratios."""
    image, recipe, texture = (
        ellipses(size, 0)[0],
        GraphRecipe(regions=regions),
        GraphRecipe(regions=regions, texture=True),
    )
    calls: dict[str, Call] = {
        "": lambda: build_region_graph(image[None], recipe),
        "labels": lambda: superpixel_labels(image[None], recipe),
        "texture": lambda: build_region_graph(image[None], texture),
    }
    for name, peer in PEERS.items():
        try:
            calls[name] = peer(image, regions)
        except ImportError as error:
            print(f"{name}: not measured, {error}")
    times = least_ms(calls)
    figures: dict[str, float | None] = {f"{name}_ms".lstrip("_"): round(ms, 4) for name, ms in times.items()}
    for name in PEERS:
        ours = times["labels" if name in AGAINST_LABELS else ""]
        figures[f"speedup_over_{name}"] = round(times[name] / ours, 2) if name in times else None
    return figures


def two_threads(size: int, regions: int, repeats: int = 12) -> float:
    """Builds a second of two threads over those of one; least wall times of runs in turns.

    A run takes about RUN_S on one thread: in one of a few milliseconds the threads' starts are what is measured.
    """
    images, recipe = [ellipses(size, seed)[0][None] for seed in range(2)], GraphRecipe(regions=regions)
    builds = max(1, round(1000 * RUN_S / least_ms({"": lambda: build_region_graph(images[0], recipe)})[""]))

    def work(image: np.ndarray, start: threading.Barrier) -> None:
        start.wait()
        for _ in range(builds):
            build_region_graph(image, recipe)

    def wall(threads: int) -> float:
        start = threading.Barrier(threads + 1)
        running = [threading.Thread(target=work, args=(image, start)) for image in images[:threads]]
        for thread in running:
            thread.start()
        start.wait()
        began = time.perf_counter()
        for thread in running:
            thread.join()
        return time.perf_counter() - began

    times = np.array([(wall(1), wall(2)) for _ in range(repeats)]).min(axis=0)
    return round(float(2 * times[0] / times[1]), 3)


def main() -> None:
    """Measure, say and keep."""
    warnings.simplefilter("ignore")
    sys.path.append(os.environ.get("MEDRAY_PEERS", ""))
    load = os.getloadavg()[0]
    scaling: dict[int, float | None] = dict.fromkeys(size for size, _ in SIZES)
    if load < BUSY:
        scaling |= {size: two_threads(size, regions) for size, regions in SIZES}
    else:
        print(f"two_threads: not measured, the machine is busy (load {load:.1f})")
    figures: dict[str, Any] = {}
    for size, regions in SIZES:
        both = {**speed(size, regions), **compared(phantoms(size), regions)}
        figures[f"{size}/{regions}"] = {**both, "two_threads": scaling[size]}
    data = Path(os.environ["MEDRAY_DATA"])
    for regions in REAL:
        figures[f"drive/{regions}"] = compared(drive(data), regions)
        figures[f"isbi_em/{regions}"] = compared(isbi_em(data), regions)
    for name, found in figures.items():
        print(name, {key: value for key, value in found.items() if key.split("_")[0] in ("ms", "speedup", "asa", "ue")})
    write_result("superpixels", figures)


if __name__ == "__main__":
    main()
