"""Optional steps beside the libraries that the field uses, and augmentation beside torchvision's: CPU time.

    python benchmarks/preparation.py

Each pair runs in turns in the same process; `ratio` is the peer's time over ours, medians of the turns.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from skimage import data as pictures
from skimage.exposure import equalize_adapthist
from skimage.restoration import denoise_nl_means
from torchvision.transforms.v2 import functional as tv

from benchmarks.results_writer import write_result
from medray.graphs.build import build_region_graph
from medray.image_settings import AugmentSettings, GraphRecipe
from medray.pixels import steps
from medray.pixels.augmentation import Augmentation, apply_augmentation, blur_weights
from medray.training.augment import augment_images, draw_batch

TURNS = 7
AUGMENT = AugmentSettings(
    flip_left_right=True, rotate_degrees=15, scale=0.1, shift=0.05, elastic=0.03, gamma=0.2, blur_px=1.0, cut_out=0.2
)


def cpu_ms(*functions: Callable[[], Any]) -> list[float]:
    """Median CPU milliseconds of each, in turns."""
    times = np.empty((TURNS, len(functions)))
    for turn in range(-1, TURNS):
        for number, function in enumerate(functions):
            started = time.process_time()
            function()
            times[turn, number] = time.process_time() - started
    return list(np.median(times, axis=0) * 1e3)


def steps_beside_libraries() -> dict[str, Any]:
    """Milliseconds on a 512 x 512 image."""
    plane = pictures.camera().astype(np.float32)
    noisy = plane + np.random.default_rng(0).normal(0, 10, plane.shape).astype(np.float32)
    planes, unit = noisy[None], np.clip(noisy / 255, 0, 1)
    noise = steps.noise_deviation(planes, None)
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "median 3 x 3 (scipy)": (lambda: steps.median(planes, None, 3), lambda: ndimage.median_filter(noisy, 3)),
        "non-local means (scikit-image)": (
            lambda: steps.non_local_means(planes, None, 0.8),
            lambda: denoise_nl_means(noisy, 5, 5, 0.8 * noise, fast_mode=True, sigma=noise),
        ),
        "CLAHE (scikit-image)": (
            lambda: steps.clahe(planes, None, 2.0, (0.0, 255.0)),
            lambda: equalize_adapthist(unit, clip_limit=2 / 256),
        ),
    }
    return {name: _pair(*cpu_ms(ours, theirs)) for name, (ours, theirs) in pairs.items()}


def _pair(ours: float, theirs: float) -> dict[str, float]:
    return {"ms": ours, "peer_ms": theirs, "ratio": theirs / ours}


def one_by_one(images: torch.Tensor, drawn: list[Augmentation], fields: list[torch.Tensor]) -> torch.Tensor:
    """torchvision's functions, which take one set of numbers a call; affine and elastic are two interpolations."""
    out = []
    for image, one, field in zip(images, drawn, fields, strict=True):
        size = image.shape[-1]
        image = tv.horizontal_flip(image) if one.flips[1] else image
        angle, scale = float(np.degrees(np.arctan2(*one.matrix[::-1, 0]))), 1 / float(np.linalg.det(one.matrix)) ** 0.5
        shift = [float(part) * size for part in -np.linalg.inv(one.matrix) @ one.offset]
        image = tv.affine(image, angle, shift[::-1], scale, [0.0, 0.0], tv.InterpolationMode.BILINEAR)
        image = tv.elastic(image, field)
        low, high = image.min(), image.max()
        image = tv.adjust_gamma((image - low) / (high - low), one.gamma) * (high - low) + low
        image = tv.gaussian_blur(image, [blur_weights(one.blur_px, size).size] * 2, [one.blur_px] * 2)
        top, left = (int((place + 0.5) * size) for place in one.cut_out[:2])
        side = int(one.cut_out[2] * size)
        out.append(tv.erase(image, top, left, side, side, torch.zeros(1)))
    return torch.stack(out)


def augmentation(size: int) -> dict[str, Any]:
    """Milliseconds an image: tensors as a batch of 64, torchvision one by one, arrays, and the graph that follows."""
    torch.set_num_threads(1)
    plane = np.resize(pictures.camera(), (512, 512))[:: 512 // size, :: 512 // size][:size, :size].astype(np.float32)
    images = np.repeat(((plane - plane.mean()) / plane.std())[None, None], 64, axis=0)
    drawn, tensors = draw_batch(AUGMENT, 0, 0, [str(number) for number in range(64)]), torch.from_numpy(images)
    fields = [torch.zeros(1, size, size, 2) for _ in drawn]
    changed = [apply_augmentation(image, one) for image, one in zip(images, drawn, strict=True)]
    times = cpu_ms(
        lambda: augment_images(tensors, drawn),
        lambda: one_by_one(tensors, drawn, fields),
        lambda: [apply_augmentation(image, one) for image, one in zip(images, drawn, strict=True)],
        lambda: [build_region_graph(image, GraphRecipe()) for image in changed],
        lambda: draw_batch(AUGMENT, 0, 0, [str(number) for number in range(64)]),
    )
    names = ("batch_ms", "torchvision_one_by_one_ms", "arrays_ms", "graph_ms", "draw_ms")
    return dict(zip(names, (value / 64 for value in times), strict=True)) | {
        "torchvision_over_batch": times[1] / times[0]
    }


def main() -> None:
    """Measure and write."""
    figures = {f"augmentation_{size}": augmentation(size) for size in (28, 128, 256)}
    write_result("preparation", {"steps_512": steps_beside_libraries(), **figures})


if __name__ == "__main__":
    main()
